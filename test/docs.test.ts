/** The documentation says what the code does: generated pages, and tables that must name everything there is. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import type { Config } from "effect"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { coverage, dialects, generated } from "../scripts/docs.ts"
import * as ArbitrageMetrics from "../src/arbitrage/ArbitrageMetrics.ts"
import * as ExecutionMetrics from "../src/arbitrage/ExecutionMetrics.ts"
import * as ConnectionMetrics from "../src/connection/ConnectionMetrics.ts"
import * as Reconnect from "../src/connection/Reconnect.ts"
import * as SocketOptions from "../src/connection/SocketOptions.ts"
import type { PublicTag } from "../src/domain/Channel.ts"
import { AnswerClass, ExchangeError, Reason } from "../src/ExchangeError.ts"
import * as ExchangeFactory from "../src/ExchangeFactory.ts"
import { gateSpot, mexcSpot } from "../src/exchanges/index.ts"
import * as SessionMetrics from "../src/session/SessionMetrics.ts"
import { defaultBufferSize } from "../src/session/Subscriber.ts"
import * as Faults from "../src/simulator/Faults.ts"
import { toySpot } from "./exchanges/toy/ToyAdapter.ts"

const repository = resolve(import.meta.dirname, "..")
const textOf = (path: string): string => readFileSync(join(repository, path), "utf8")

/** Cells of the tables whose first heading is this. */
const rowsOf = (path: string, heading: string): ReadonlyArray<ReadonlyArray<string>> => {
  const rows: Array<ReadonlyArray<string>> = []
  let inside = false
  for (const line of textOf(path).split("\n")) {
    const cells = line.startsWith("|") ? line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()) : null
    if (cells === null) inside = false
    else if (cells[0] === heading) inside = true
    else if (inside && !/^:?-+:?$/.test(cells[0]!)) rows.push(cells)
  }
  return rows
}

const codesIn = (text: string): ReadonlyArray<string> => Array.from(text.matchAll(/`([^`]+)`/g), ([, code]) => code!)

const sorted = (texts: Iterable<string>): ReadonlyArray<string> => [...texts].sort()

describe("generated pages", () => {
  for (const [path, text] of Object.entries(generated())) {
    it(`${path} is what the code says; run npm run docs`, () => {
      assert.strictEqual(textOf(path), text)
    })
  }

  it("lists a dialect for every adapter, by the folder it is in", () => {
    const index = [
      "export { gateSpot, gateFutures } from \"./gate/GateSpot.ts\"",
      "export { krakenSpot } from \"./kraken/KrakenSpot.ts\"",
      ""
    ].join("\n")
    assert.deepStrictEqual(dialects(index).split("\n").slice(1), [
      "export { gateFuturesDialect, gateSpotDialect } from \"./gate/GateDialect.ts\"",
      "export { krakenSpotDialect } from \"./kraken/KrakenDialect.ts\"",
      ""
    ])
  })

  it("the coverage names every channel, limit and bound of an adapter", () => {
    const page = coverage([toySpot])
    for (
      const line of [
        "| Toy spot | `toy` | `BookTicker`, `Trades`, `Book` |",
        "| `Book` | `depth:<BASE>_<QUOTE>:20` | every 20ms | ToyDialect |",
        "| topics on one connection | 100 |",
        "| ping when nothing came for | 5 s |",
        "| subscribe a silent `BookTicker` topic anew after | 5 s |"
      ]
    ) {
      assert.include(page, line)
    }
    assert.notInclude(page, "`Kline`")
    assert.include(page, "Not yet run live")
  })

  it("every channel of every adapter has its row", () => {
    for (const { channels, coverage } of [mexcSpot, gateSpot]) {
      assert.deepStrictEqual(new Set<PublicTag>(coverage.map(({ channel }) => channel)), new Set<PublicTag>(channels))
    }
  })
})

describe("docs/errors.md", () => {
  const tags = Reason.members.map((member) => member.fields._tag.schema.literal)

  it("lists every reason and no other", () => {
    assert.deepStrictEqual(sorted(rowsOf("docs/errors.md", "reason").flatMap(([cell]) => codesIn(cell!))), sorted(tags))
  })

  it("lists every class of an answer, and says rightly whether it passes", () => {
    const rows = rowsOf("docs/errors.md", "class")
    assert.deepStrictEqual(sorted(rows.flatMap(([cell]) => codesIn(cell!))), sorted(AnswerClass.literals))
    for (const [cell, , transient] of rows) {
      const error = new ExchangeError({
        exchange: "x",
        reason: {
          _tag: "RequestFailed",
          request: "GET /",
          status: null,
          code: "",
          detail: "",
          class: codesIn(cell!)[0]
        } as never
      })
      assert.strictEqual(error.isTransient ? "yes" : "no", transient!, cell!)
    }
  })

  it("lists every cause of a gap", () => {
    const source = textOf("src/domain/Feed.ts")
    const [, union = ""] = /type GapCause = ([^\n]+)/.exec(source) ?? []
    const causes = Array.from(union.matchAll(/"(\w+)"/g), ([, cause]) => cause!)
    assert.isAbove(causes.length, 0)
    assert.deepStrictEqual(
      sorted(rowsOf("docs/errors.md", "cause").flatMap(([cell]) => codesIn(cell!))),
      sorted(causes)
    )
  })
})

describe("docs/metrics.md", () => {
  interface Described {
    readonly id: string
    readonly type: string
    readonly attributes: Readonly<Record<string, string>> | undefined
  }
  const isMetric = (value: unknown): value is Described =>
    typeof value === "object" && value !== null && "id" in value && "type" in value

  const exported: ReadonlyArray<unknown> = [
    ...Object.values(SessionMetrics),
    ...Object.values(ArbitrageMetrics),
    ...Object.values(ExecutionMetrics),
    ...Object.values(ConnectionMetrics.make("x"))
  ]
  const metrics = exported.filter(isMetric)

  /** `exchange.ws.frames.received`, `.sent` names two. */
  const namesIn = (cell: string): ReadonlyArray<string> => {
    const [first = "", ...others] = codesIn(cell)
    return [first, ...others.map((code) => code.startsWith(".") ? first.replace(/\.[^.]+$/, code) : code)]
  }

  const rows = rowsOf("docs/metrics.md", "metric")

  it("lists every metric and no other", () => {
    assert.isAbove(metrics.length, 20)
    assert.deepStrictEqual(sorted(rows.flatMap(([cell]) => namesIn(cell!))), sorted(metrics.map(({ id }) => id)))
  })

  it("tells kind and unit of each", () => {
    for (const [cell = "", kind = "", unit = ""] of rows) {
      for (const name of namesIn(cell)) {
        const metric = metrics.find(({ id }) => id === name)!
        assert.strictEqual(metric.type.toLowerCase(), kind, name)
        assert.strictEqual(metric.attributes?.["unit"], unit.replaceAll("`", ""), name)
      }
    }
  })
})

/** A provider that holds nothing and remembers what it was asked for. */
const asked = (read: Config.Config<unknown>): ReadonlyArray<string> => {
  const names = new Set<string>()
  const provider = ConfigProvider.make((path) => {
    names.add(path.join("."))
    return Effect.succeed(undefined)
  })
  Effect.runSync(read.parse(provider))
  return [...names]
}

describe("docs/options.md", () => {
  const rows = rowsOf("docs/options.md", "option")

  it("lists every variable that is read, and no other", () => {
    const variables = rows.flatMap(([, cell]) => codesIn(cell!))
    for (const adapter of [mexcSpot, gateSpot]) {
      const prefix = ExchangeFactory.prefixOf(adapter)
      assert.deepStrictEqual(
        sorted(variables.map((variable) => variable.replace("…_", prefix))),
        sorted(asked(ExchangeFactory.config(adapter)))
      )
    }
  })

  it("tells the defaults", () => {
    const defaultOf = (option: string) => rows.find(([cell]) => cell === `\`${option}\``)?.[2]
    const { answerTimeout, idleTimeout, staleAfter } = ExchangeFactory.defaults
    const socket = SocketOptions.defaults
    assert.strictEqual(defaultOf("answerTimeout"), answerTimeout.replace(" seconds", " s"))
    assert.strictEqual(defaultOf("idleTimeout"), idleTimeout.replace(" seconds", " s"))
    assert.strictEqual(defaultOf("staleAfter"), staleAfter.replace(" minutes", " min"))
    assert.strictEqual(defaultOf("socket.openTimeout"), String(socket.openTimeout).replace(" seconds", " s"))
    assert.strictEqual(defaultOf("socket.maxFrameBytes"), `${socket.maxFrameBytes / 2 ** 20} MiB`)
    assert.strictEqual(defaultOf("socket.highWaterBytes"), `${socket.highWaterBytes / 2 ** 20} MiB`)
    assert.strictEqual(defaultOf("socket.batchFrames"), String(socket.batchFrames))
    assert.strictEqual(defaultOf("socket.compression"), socket.compression ? "on" : "off")
    assert.strictEqual(defaultOf("bufferSize"), String(defaultBufferSize))
    assert.strictEqual(
      defaultOf("reconnect.stableAfter"),
      String(Reconnect.defaults.stableAfter).replace(" seconds", " s")
    )
  })
})

describe("docs/simulator.md", () => {
  it("names every kind of fault, and no other", () => {
    assert.deepStrictEqual(
      sorted(rowsOf("docs/simulator.md", "kind").flatMap(([cell]) => codesIn(cell!))),
      sorted(Faults.names)
    )
  })
})

describe("docs/adding-an-exchange.md", () => {
  /** Names of the members of an interface, as its source has them. */
  const membersOf = (name: string, file = "src/ExchangeAdapter.ts"): ReadonlyArray<string> => {
    const [, body = ""] = new RegExp(`export interface ${name}\\b[^{]*\\{\n([^]*?)\n\\}`).exec(textOf(file)) ?? []
    return Array.from(body.matchAll(/^ {2}readonly (\w+)\??:/gm), ([, member]) => member!)
  }
  const fields = rowsOf("docs/adding-an-exchange.md", "field").flatMap(([cell]) => codesIn(cell!))

  it("explains every field of an adapter and of a recipe, and no other", () => {
    assert.deepStrictEqual(sorted(membersOf("ExchangeAdapter")), sorted(Object.keys({ ...gateSpot, ...mexcSpot })))
    assert.deepStrictEqual(
      sorted(fields),
      sorted([
        ...membersOf("ExchangeAdapter"),
        ...membersOf("BookRecipe"),
        ...membersOf("AccountAdapter", "src/AccountAdapter.ts")
      ])
    )
  })

  it("names every call of a sink", () => {
    for (const member of membersOf("Sink")) assert.include(textOf("docs/adding-an-exchange.md"), `\`${member}\``)
  })
})

describe("links", () => {
  const pages = [
    "README.md",
    ...readdirSync(join(repository, "docs"), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".md")).map((path) => `docs/${path}`)
  ]
  for (const page of pages) {
    it(`of ${page} lead to a file`, () => {
      const targets = Array.from(textOf(page).matchAll(/\]\(([^)\s]+)\)/g), ([, target]) => target!.replace(/#.*$/, ""))
      const local = targets.filter((target) => target !== "" && !/^[a-z]+:/.test(target))
      const missing = local.filter((target) => !existsSync(join(repository, dirname(page), target)))
      assert.deepStrictEqual(missing, [])
    })
  }
})
