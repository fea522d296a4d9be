/** A program that is killed while it trades, and what another one finds with nothing but its keys. */
import { Clock, Effect, Layer } from "effect"
import type { WorldAccount } from "../../../src/AccountWorld.ts"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import * as Account from "../../../test/suites/AccountExchange.ts"
import { accountSubjects } from "../../../test/suites/AccountSubjects.ts"
import type { Settings } from "../AccountClient.ts"
import { marker } from "../AccountClient.ts"
import * as Child from "../Child.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

const client = "scripts/prove/AccountClient.ts"
const server = Layer.orDie(Simulator.layer({
  dialects: accountSubjects.map(({ dialect }) => dialect),
  pairs: ["BTC/USDT"],
  limits: "off",
  seed: 7,
  rate: 5,
  accounts: Object.assign({}, ...accountSubjects.map(Account.accountsOf))
}))

/** Client ids of all orders that the account has had. */
const idsOf = (account: WorldAccount): ReadonlyArray<string> => {
  const all = [...account.orders({ open: false }), ...account.orders({ open: true })]
  return [...new Map(all.map((order) => [order.id, order])).values()].flatMap(({ clientOrderId }) =>
    clientOrderId ?? []
  )
}

/** What happens while no program is there. */
const meanwhile = (subject: Account.Subject, account: WorldAccount): void => {
  account.place({
    pair: subject.pair,
    side: "buy",
    type: "market",
    timeInForce: "ioc",
    price: null,
    quantity: subject.quantity,
    quoteQuantity: null,
    clientOrderId: null,
    reduceOnly: false,
    trigger: null
  })
  const [oldest] = account.orders({ open: true }).toReversed()
  if (oldest !== undefined) account.cancel({ id: oldest.id })
}

const play = Effect.fnUntraced(function*(proof: Proof) {
  const simulator = yield* Simulator.Simulator
  const since = yield* Clock.currentTimeMillis
  const draws = yield* Virtual.draws(proof.seed, "account-kill")
  const kills = Proofs.sizeOf(proof, 1, 30)
  const settings = (
    mode: Settings["mode"]
  ) => [client, JSON.stringify({ urls: simulator.urls, mode, since } satisfies Settings)]
  const accounts = yield* Effect.forEach(
    accountSubjects,
    (subject) => Effect.map(Account.truth(subject), (account) => ({ account, subject }))
  )
  const placedBy: Array<number> = []
  for (let kill = 0; kill < kills; kill++) {
    const before = accounts.map(({ account }) => idsOf(account).length)
    // Not before each exchange has its first order: a program that is killed while it loads proves nothing.
    const trading = Account.until(
      () => accounts.every(({ account }, index) => idsOf(account).length > before[index]! + 3),
      30_000
    )
    // Whatever loses the race is interrupted, and that kills it.
    const ended = yield* Effect.raceFirst(
      Effect.as(Child.node(settings("trade")), "by itself"),
      Effect.as(Effect.andThen(trading, Effect.sleep(Virtual.below(draws, 300))), "killed")
    )
    proof.check(`kill ${kill + 1}: it traded until it was killed`, ended === "killed", ended)
    placedBy.push(accounts.reduce((sum, { account }, index) => sum + idsOf(account).length - before[index]!, 0))
    for (const { account, subject } of accounts) meanwhile(subject, account)
  }
  // What was sent in its last moment arrives.
  yield* Effect.sleep(300)
  const reader = yield* Child.node(settings("read"))
  const states = new Map(
    reader.lines.filter(({ text }) => text.startsWith(marker)).map(({ text }) => {
      const { exchange, lines } = JSON.parse(text.slice(marker.length)) as { exchange: string; lines: Account.Lines }
      return [exchange, lines] as const
    })
  )
  for (const { account, subject: { adapter } } of accounts) {
    const ids = idsOf(account)
    const truth = Account.linesOfTruth(account, adapter.kind)
    const ours = states.get(adapter.id)
    const differences = ours === undefined
      ? [`nothing was read: ${reader.errors.slice(0, 300)}`]
      : Account.compare(ours, truth)
    proof.check(
      `${adapter.id}: what is read back is what the exchange has`,
      differences.length === 0,
      differences.length === 0
        ? `${truth["fills"]!.length} fills, ${truth["open orders"]!.length} open orders`
        : differences.join("; ").slice(0, 600)
    )
    const refused = simulator.counts().exchanges[adapter.id]!.orders.refused.duplicateClientOrderId ?? 0
    proof.check(
      `${adapter.id}: no order is repeated`,
      new Set(ids).size === ids.length && refused === 0,
      `${ids.length} orders, ${new Set(ids).size} ids, ${refused} refused as known`
    )
  }
  proof.figure("kills", kills)
  proof.figure("orders", placedBy.reduce((sum, count) => sum + count, 0))
})

export const accountKill: Case = {
  name: "account-kill",
  proves:
    "A program killed while it trades: another one with nothing but its keys finds the exchange's state, and repeats nothing",
  run: (proof) => play(proof).pipe(Effect.provide(server), Effect.scoped)
}
