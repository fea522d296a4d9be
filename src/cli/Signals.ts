/** Signals that come while the command is still being loaded: they wait until there is somebody to end it properly. */

const names = ["SIGINT", "SIGTERM"] as const

/** The first that came; null while none has. */
let held: NodeJS.Signals | null = null

const note = (signal: NodeJS.Signals): void => {
  held ??= signal
}

/** From here on no signal ends the process by itself. */
export const hold = (): void => {
  for (const name of names) process.on(name, note)
  // The terminal has gone: end as in any other case.
  process.once("SIGHUP", () => process.kill(process.pid, "SIGTERM"))
}

/** Others listen from here on: what has come before is told to them. */
export const release = (): void => {
  for (const name of names) process.off(name, note)
  if (held !== null) process.kill(process.pid, held)
}
