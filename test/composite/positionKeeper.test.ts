/** Positions against a naive ledger of fills: what was paid and received, and what is held at a price. */
import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import { Holdings } from "../../src/composite/Holdings.ts"
import type { Execution, Kept } from "../../src/composite/PositionKeeper.ts"
import * as PositionKeeper from "../../src/composite/PositionKeeper.ts"
import type { Position } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import * as PrivateWebsocketTest from "../../src/PrivateWebsocketTest.ts"

const pair = "BTC/USDT:USDT"
const of = Decimal.of
const text = (amount: Decimal.Decimal | null): string | null => amount === null ? null : Decimal.toText(amount)
const { isZero, multiply, normalize, subtract, sum } = BigDecimal

const terms: PositionKeeper.Terms = { pair, contractSize: of("0.0001"), maintenanceRate: of("0.005") }

const step = Schema.Struct({
  buys: Schema.Boolean,
  quantity: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 30 })),
  /** In cents. */
  price: Schema.Int.check(Schema.isBetween({ minimum: 5_000_000, maximum: 7_000_000 })),
  fee: Schema.Int.check(Schema.isBetween({ minimum: -50, maximum: 100 })),
  /** In millionths; every so often it falls due. */
  rate: Schema.Int.check(Schema.isBetween({ minimum: -3_000, maximum: 3_000 })),
  funds: Schema.Boolean
})

const courses = Arbitrary.array(Arbitrary.schema(step), { minLength: 1, maxLength: 60 })

const cents = (price: number): Decimal.Decimal => BigDecimal.make(BigInt(price), 2)

/** Money that came and went, contracts that are held: nothing else. */
class Naive {
  cash: Decimal.Decimal = Decimal.zero
  contracts: Decimal.Decimal = Decimal.zero
  fees: Decimal.Decimal = Decimal.zero
  funding: Decimal.Decimal = Decimal.zero

  trade({ fee, price, quantity, side }: Execution): void {
    const value = multiply(multiply(quantity, price), terms.contractSize)
    this.cash = side === "buy" ? subtract(this.cash, value) : sum(this.cash, value)
    this.contracts = side === "buy" ? sum(this.contracts, quantity) : subtract(this.contracts, quantity)
    this.fees = sum(this.fees, fee ?? Decimal.zero)
  }

  fund(rate: Decimal.Decimal, mark: Decimal.Decimal): void {
    const payment = multiply(multiply(multiply(this.contracts, terms.contractSize), mark), rate)
    this.funding = subtract(this.funding, payment)
  }

  worthAt(price: Decimal.Decimal): Decimal.Decimal {
    return sum(this.cash, multiply(multiply(this.contracts, terms.contractSize), price))
  }
}

describe("PositionKeeper", () => {
  it.prop("gains what was paid less than received, exactly, whatever turns round", [courses], ([course]) => {
    const naive = new Naive()
    let kept = PositionKeeper.flat(terms, of("10"))
    const ended: Array<Kept> = []
    for (const { buys, fee, funds, price, quantity, rate } of course) {
      const execution: Execution = {
        side: buys ? "buy" : "sell",
        quantity: BigDecimal.fromBigInt(BigInt(quantity)),
        price: cents(price),
        fee: BigDecimal.make(BigInt(fee), 4)
      }
      const before = kept
      const reducible = PositionKeeper.closable(before, execution.side, execution.quantity)
      const filled = PositionKeeper.fill(before, execution)
      kept = filled.kept
      naive.trade(execution)
      if (filled.closed !== null && isZero(filled.closed.size)) ended.push(filled.closed)
      // A reduce-only order would have filled so much: it never turns a position round, and never opens one.
      const reduced = isZero(reducible)
        ? before
        : PositionKeeper.fill(before, { ...execution, quantity: reducible }).kept
      assert.isTrue(BigDecimal.isLessThanOrEqualTo(BigDecimal.abs(reduced.size), BigDecimal.abs(before.size)))
      if (funds) {
        const millionths = BigDecimal.make(BigInt(rate), 6)
        kept = PositionKeeper.fund(kept, PositionKeeper.fundingPayment(kept, millionths, cents(price)))
        naive.fund(millionths, cents(price))
      }
      const open = isZero(kept.size) ? [] : [kept]
      const total = (what: (kept: Kept) => Decimal.Decimal) =>
        normalize(BigDecimal.sumAll([...ended, ...open].map(what)))
      assert.strictEqual(text(kept.size), text(normalize(naive.contracts)))
      assert.strictEqual(text(total(({ fees }) => fees)), text(normalize(naive.fees)))
      assert.strictEqual(text(total(({ funding }) => funding)), text(normalize(naive.funding)))
      const mark = cents(6_123_456)
      const worth = sum(total(({ profit }) => profit), PositionKeeper.unrealisedPnl(kept, mark))
      assert.strictEqual(text(normalize(worth)), text(normalize(naive.worthAt(mark))))
      if (!isZero(kept.size)) continue
      assert.deepStrictEqual([text(kept.margin), text(kept.cost), PositionKeeper.entryPrice(kept)], ["0", "0", null])
    }
  }, { arbitrary: { runs: 150 } })

  it.prop("pays funding to the last digit", [courses], ([course]) => {
    for (const { buys, price, quantity, rate } of course) {
      const size = BigDecimal.fromBigInt(BigInt(buys ? quantity : -quantity))
      const paid = PositionKeeper.fundingPayment({ size, terms }, BigDecimal.make(BigInt(rate), 6), cents(price))
      // Contracts, cents, millionths and ten-thousandths of a coin: 12 decimals in whole numbers.
      const whole = -BigInt(buys ? quantity : -quantity) * BigInt(price) * BigInt(rate)
      assert.strictEqual(text(paid), text(normalize(BigDecimal.make(whole, 12))))
    }
  })

  it.prop(
    "at its liquidation price the margin and what was gained are the maintenance margin",
    [courses],
    ([course]) => {
      for (const { buys, price, quantity } of course) {
        const kept = PositionKeeper.fill(PositionKeeper.flat(terms, of("20")), {
          side: buys ? "buy" : "sell",
          quantity: BigDecimal.fromBigInt(BigInt(quantity)),
          price: cents(price),
          fee: null
        }).kept
        const at = PositionKeeper.liquidationPrice(kept)!
        const left = sum(kept.margin!, PositionKeeper.unrealisedPnl(kept, at))
        const needed = multiply(PositionKeeper.valueAt(kept, at), of("0.005"))
        assert.isBelow(Math.abs(Decimal.toNumber(normalize(subtract(left, needed)))), 1e-9)
        const dearer = PositionKeeper.liquidationPrice({ ...kept, terms: { ...terms, closingFeeRate: of("0.00075") } })!
        assert.strictEqual(BigDecimal.isGreaterThan(dearer, at), buys)
      }
    }
  )

  const long = PositionKeeper.fill(PositionKeeper.flat(terms, of("10")), {
    side: "buy",
    quantity: of("3"),
    price: of("60000"),
    fee: of("0.0135")
  }).kept

  it("knows no liquidation price without margin, maintenance rate or position, and none below 0", () => {
    assert.strictEqual(text(PositionKeeper.liquidationPrice(long)), "54271.356783919597")
    assert.isNull(PositionKeeper.liquidationPrice({ ...long, margin: null }))
    assert.isNull(PositionKeeper.liquidationPrice({ ...long, marginMode: "cross" }))
    assert.isNull(PositionKeeper.liquidationPrice({ ...long, terms: { ...terms, maintenanceRate: null } }))
    assert.isNull(PositionKeeper.liquidationPrice(PositionKeeper.flat(terms)))
    assert.strictEqual(text(PositionKeeper.liquidationPrice({ ...long, margin: of("100") })), "0")
  })

  it("of cross margin keeps no margin", () => {
    const { kept } = PositionKeeper.fill(PositionKeeper.flat(terms), {
      side: "sell",
      quantity: of("3"),
      price: of("60000"),
      fee: null
    })
    assert.deepInclude(PositionKeeper.held(kept, null), {
      margin: null,
      marginMode: "cross",
      unrealisedPnl: null,
      liquidationPrice: null
    })
    const part = PositionKeeper.fill(kept, { side: "buy", quantity: of("1"), price: of("59000"), fee: null }).kept
    assert.deepStrictEqual([text(part.size), text(part.profit), part.margin], ["-2", "0.1", null])
    assert.strictEqual(text(PositionKeeper.liquidate(part).profit), "0.1")
  })

  it("loses its margin when it is liquidated", () => {
    const gone = PositionKeeper.liquidate(long)
    assert.deepStrictEqual([text(gone.size), text(gone.margin), text(gone.profit)], ["0", "0", "-1.8"])
    assert.strictEqual(text(PositionKeeper.realisedPnl(gone)), "-1.8135")
  })

  it("is shown in base units, at the mark", () => {
    const shown = PositionKeeper.held(long, of("61000"))
    assert.deepStrictEqual(
      [shown.size, shown.baseSize, shown.entryPrice, shown.unrealisedPnl, shown.realisedPnl, shown.fees].map(text),
      ["3", "0.0003", "60000", "0.3", "-0.0135", "0.0135"]
    )
    assert.strictEqual(text(PositionKeeper.held(long, of("61000")).liquidationPrice), "54271.356783919597")
  })

  // -- as the exchange describes it --

  const described = (size: string, fields: Partial<Position> = {}): Position =>
    PrivateWebsocketTest.position(pair, {
      size: of(size),
      contractSize: 0.0001,
      entryPrice: size === "0" ? null : of("60000"),
      leverage: of("10"),
      marginMode: "isolated",
      margin: of("1.8"),
      liquidationPrice: of("54000"),
      realisedPnl: of("0"),
      updateId: "1",
      ...fields
    })

  it("follows what the exchange says, and takes for funding what nothing else explains", () => {
    const first = PositionKeeper.adopt(PositionKeeper.flat(terms), described("3"))
    assert.strictEqual(text(PositionKeeper.held(first, null).liquidationPrice), "54000")
    const paid = PositionKeeper.adopt(first, described("3", { updateId: "2", realisedPnl: of("-0.002") }))
    assert.strictEqual(text(paid.funding), "-0.002")
    assert.strictEqual(text(PositionKeeper.held(paid, null).realisedPnl), "-0.002")
    // A push was missed, or the size is another one: it may be anything.
    for (
      const next of [
        described("3", { updateId: "4", realisedPnl: of("-1") }),
        described("2", { updateId: "3", realisedPnl: of("-1") }),
        described("3", { updateId: null, realisedPnl: of("-1") }),
        described("3", { updateId: "3", realisedPnl: null })
      ]
    ) assert.strictEqual(text(PositionKeeper.adopt(paid, next).funding), "-0.002")
    const unnumbered = PositionKeeper.adopt(first, described("3", { updateId: null }))
    assert.strictEqual(text(PositionKeeper.adopt(unnumbered, described("3", { realisedPnl: of("5") })).funding), "0")
    // Another one begins.
    assert.strictEqual(text(PositionKeeper.adopt(paid, described("-3", { updateId: "3" })).funding), "0")
    assert.strictEqual(text(PositionKeeper.adopt(paid, described("0", { updateId: "3" })).funding), "0")
  })

  it("counts fees of what is open, in the settle asset alone", () => {
    const holdings = new Holdings(() => terms, (of) => of === pair ? 61_000 : null)
    const fill = (fee: string | null, feeAsset: string | null) =>
      holdings.onFill(PrivateWebsocketTest.fill(pair, { fee: fee === null ? null : of(fee), feeAsset }))
    fill("0.01", "USDT")
    fill("0.01", "POINT")
    fill(null, null)
    holdings.onFill(PrivateWebsocketTest.fill("BTC/USDT", { fee: of("1"), feeAsset: "USDT" }))
    assert.deepStrictEqual(holdings.positions(), [])
    assert.isTrue(holdings.onPosition(described("3")))
    fill("0.02", "USDT")
    const [held] = holdings.positions()
    assert.deepStrictEqual([held!.fees, held!.unrealisedPnl].map(text), ["0.03", "0.3"])
    assert.isFalse(holdings.onPosition(described("3", { pair: null })))
    assert.isFalse(holdings.onPosition(described("3", { contractSize: null })))
  })

  it("reckons the liquidation price that a push does not name, where its terms are known", () => {
    const shown = (known: Omit<PositionKeeper.Terms, "pair">) => {
      const holdings = new Holdings(() => known, () => null)
      holdings.onPosition(described("3", { liquidationPrice: null }))
      const price = holdings.positions()[0]!.liquidationPrice
      return price === null ? null : text(price)
    }
    const contractSize = of("0.0001")
    assert.isNull(shown({ contractSize, maintenanceRate: null }))
    assert.strictEqual(shown({ contractSize, maintenanceRate: of("0.005") }), "54271.356783919597")
    // 54 000 by 1 - 0.00575.
    assert.strictEqual(
      shown({ contractSize, maintenanceRate: of("0.005"), closingFeeRate: of("0.00075") }),
      "54312.29570027659"
    )
  })

  it("equity is what there is and what is gained; unknown while either is", () => {
    const balance = (fields: Parameters<typeof PrivateWebsocketTest.balance>[1]) =>
      PrivateWebsocketTest.balance("USDT", fields)
    let mark: number | null = 61_000
    const holdings = new Holdings(() => terms, () => mark)
    assert.isNull(holdings.equity("USDT"))
    holdings.balances.set("USDT", balance({ total: of("100") }))
    assert.strictEqual(text(holdings.equity("USDT")), "100")
    holdings.onPosition(described("3"))
    assert.strictEqual(text(holdings.equity("USDT")), "100.3")
    holdings.balances.set("USDT", balance({ total: null, available: of("60"), locked: of("5") }))
    assert.strictEqual(text(holdings.equity("USDT")), "65.3")
    holdings.balances.set("USDT", balance({ total: null, available: null, locked: of("5") }))
    assert.isNull(holdings.equity("USDT"))
    holdings.balances.set("USDT", balance({ total: of("100") }))
    mark = null
    assert.isNull(holdings.equity("USDT"))
    mark = Number.NaN
    assert.isNull(holdings.equity("USDT"))
  })
})
