/** The `exchange` command: its sub-commands, and what a wrong command line is answered with. */
import { Console, Effect, Layer } from "effect"
import { CliConfig, CliOutput, Command, GlobalFlag, TerminalCapabilities } from "effect/cli"
import * as Account from "./Account.ts"
import * as Decode from "./Decode.ts"
import * as Demo from "./Demo.ts"
import * as Doctor from "./Doctor.ts"
import * as Instruments from "./Instruments.ts"
import * as Order from "./Order.ts"
import * as Replay from "./Replay.ts"
import * as Simulate from "./Simulate.ts"
import * as Watch from "./Watch.ts"

export const command = Command.make("exchange").pipe(
  Command.withDescription(
    "Market data and accounts of MEXC spot, Gate spot and Gate futures on the command line. Data goes to stdout, everything else to stderr."
  ),
  Command.withSubcommands([
    Demo.command,
    Watch.command,
    Account.command,
    Order.command,
    Instruments.command,
    Decode.command,
    Replay.command,
    Doctor.command,
    Simulate.command
  ])
)

/** A wrong command line is answered on stderr alone, and shortly: stdout is for data. */
const presenter: CliOutput.Presenter = {
  present: Effect.fnUntraced(function*(event) {
    if (event._tag !== "InvalidInvocation") return yield* CliOutput.defaultPresenter.present(event)
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    yield* Console.error(CliOutput.defaultFormatter({ colors: canColor }).formatErrors(event.errors))
    yield* Console.error(`\n  Try: ${event.commandPath.join(" ")} --help`)
  })
}

/** The wizard would ask its questions on stdout. */
const builtIns = [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel]

export const layer: Layer.Layer<never> = Layer.merge(CliOutput.layerPresenter(presenter), CliConfig.layer({ builtIns }))
