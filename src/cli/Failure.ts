/** How a command fails and what the shell gets to see of it. `docs/cli.md` lists the exit codes. */
import { Cause, Exit, Schema, SchemaIssue } from "effect"
import type { Config } from "effect"
import { CliError } from "effect/cli"

/**
 * `failed`: at run time. `usage`: the command line asks for what there is not. `nothing`: nothing was received. `auth`: the
 * exchange refused the key, or our clock cannot sign. `rejected`: it refused the order. `unknown`: what became of an order
 * is not known. `left`: the program has ended, and orders that it should have cancelled are open, or may be.
 */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  nothing: 3,
  auth: 4,
  rejected: 5,
  unknown: 6,
  left: 7,
  interrupted: 130
} as const

/** What the user is told on stderr, without a stack. */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", {
  kind: Schema.Literals(["failed", "usage", "nothing", "auth", "rejected", "unknown", "left"]),
  message: Schema.String
}) {
  override get [CliError.userMessage](): string {
    return this.message
  }
}

export const failed = (message: string): CommandFailed => new CommandFailed({ kind: "failed", message })
export const usage = (message: string): CommandFailed => new CommandFailed({ kind: "usage", message })
export const nothing = (message: string): CommandFailed => new CommandFailed({ kind: "nothing", message })
export const rejected = (message: string): CommandFailed => new CommandFailed({ kind: "rejected", message })
export const unknown = (message: string): CommandFailed => new CommandFailed({ kind: "unknown", message })
export const left = (message: string): CommandFailed => new CommandFailed({ kind: "left", message })

const issues = SchemaIssue.makeFormatterStandardSchemaV1()

/** A variable of the environment is a text: only one that is not there is none. */
const noText = "Expected string"

const problemOf = (message: string): string => message.startsWith(noText) ? "is not set" : `is wrong: ${message}`

/** Names the variables of the environment that are missing or malformed, never what they hold. */
export const configuration = ({ cause, message }: Config.ConfigError, hint = ""): CommandFailed =>
  usage(
    `configuration: ${
      Schema.isSchemaError(cause)
        ? issues(cause.issue).issues.map(({ message, path = [] }) => `${path.join("_")} ${problemOf(message)}`).join(
          "; "
        )
        : message
    }${hint}`
  )

const codeOf = (error: unknown): number => {
  if (error instanceof CommandFailed) return exitCodes[error.kind]
  if (!CliError.isCliError(error)) return exitCodes.failed
  // Help that was not asked for, as for a command without its sub-command, is an error only when something is wrong.
  return error._tag === "ShowHelp" && error.errors.length === 0 ? exitCodes.ok : exitCodes.usage
}

export const exitCode = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit)) return exitCodes.ok
  return Cause.hasInterruptsOnly(exit.cause) ? exitCodes.interrupted : codeOf(Cause.squash(exit.cause))
}
