/** `exchange account`: balances, open orders, positions and fills of one account, as they change. */
import { Option } from "effect"
import { Command, Flag } from "effect/cli"
import * as AccountShow from "./account/AccountShow.ts"
import * as AccountSource from "./account/AccountSource.ts"
import * as Flags from "./Flags.ts"
import * as Show from "./Show.ts"

export const command = Command.make(
  "account",
  {
    exchange: Flags.exchangeId,
    ...AccountSource.flags,
    pairs: Flags.optionalPairs.pipe(
      Flag.withDescription("Pairs to look up what was missed for, where the exchange asks for a pair (MEXC)")
    ),
    idle: Flag.Boolean("idle").pipe(
      Flag.withDescription("Leave the simulated account alone; without it a small strategy trades on it"),
      Flag.withDefault(false)
    ),
    duration: Flags.duration,
    format: Show.format,
    metricsPort: Flags.metricsPort,
    otlpUrl: Flags.otlpUrl
  },
  (options) =>
    AccountShow.run({
      ...options,
      source: AccountSource.open({ ...options, pairs: Option.getOrUndefined(options.pairs) }),
      channels: undefined,
      trades: !options.idle
    })
).pipe(
  Command.withDescription(
    "Show an account live: balances, open orders, positions and fills. Without --live or --testnet it is a simulated one, " +
      "on which a small strategy trades. It only reads where it is real. Keys come from the environment: " +
      "MEXC_API_KEY and MEXC_API_SECRET, GATE_API_KEY and GATE_API_SECRET."
  ),
  Command.withShortDescription("Show an account live"),
  Command.withExamples([
    { command: "exchange account gate-futures", description: "A simulated account" },
    { command: "exchange account mexc-spot --live --pairs BTC/USDT", description: "Yours; it only reads" },
    { command: "exchange account gate-spot --testnet --format ndjson", description: "Every event on the test net" }
  ])
)
