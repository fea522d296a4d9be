import { Schema } from "effect"

/** The options are wrong, the port is taken, or what was to be made to happen is impossible. */
export class SimulatorError extends Schema.TaggedError<SimulatorError>()("SimulatorError", {
  operation: Schema.Literals(["options", "listen", "publish", "change"]),
  detail: Schema.String
}) {
  override get message(): string {
    return `simulator, ${this.operation}: ${this.detail}`
  }
}
