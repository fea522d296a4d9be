/**
 * An exchange to test against: a real adapter over the simulator, inside the process under a virtual clock, or over
 * real ports. A suite is written once and run in both.
 */
import { Effect, Fiber, Layer } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import * as NodeHttp from "../../src/connection/NodeHttp.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import type { ExchangeClock } from "../../src/ExchangeClock.ts"
import type { ExchangeDialect } from "../../src/ExchangeDialect.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import type { MarketRest } from "../../src/MarketRest.ts"
import type { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"

export interface Subject {
  readonly adapter: ExchangeAdapter
  readonly dialect: ExchangeDialect
}

export type Services = PublicWebsocket | MarketRest | ExchangeClock | Simulator.Simulator

export interface Mode {
  readonly name: "memory" | "ports"
  readonly layer: (
    subject: Subject,
    simulator?: Partial<Simulator.SimulatorOptions>,
    options?: ExchangeFactory.RedundantOptions
  ) => Layer.Layer<Services>
  /**
   * Runs the effect and lets the time that it needs pass: virtual time is pushed on, in so many steps of 10 ms at most, real
   * time passes by itself.
   */
  readonly run: <A, E, R>(effect: Effect.Effect<A, E, R>, steps?: number) => Effect.Effect<A, E, R>
}

/** Over one socket for each topic unless the options say more. */
const over = (subject: Subject, options: ExchangeFactory.RedundantOptions | undefined) =>
  Layer.unwrap(Effect.map(Simulator.Simulator, ({ urls }) => {
    const { rest, ws } = urls[subject.adapter.id]!
    return ExchangeFactory.layerRedundant(subject.adapter, { connections: 1, url: ws, restUrl: rest, ...options })
  }))

const simulatorOf = (subject: Subject, options: Partial<Simulator.SimulatorOptions> | undefined) => ({
  dialects: [subject.dialect],
  pairs: ["BTC/USDT", "ETH/USDT", "SOL/USDT"] as const,
  limits: "off" as const,
  seed: 7,
  ...options
})

const step = 10

/** Ten virtual minutes. */
const mostSteps = 60_000

/** 2026-11-25. Times near 0, where a virtual clock begins, are no times of an exchange. */
const start = 1_795_564_800_000

const push = <A, E, R>(effect: Effect.Effect<A, E, R>, most = mostSteps): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    yield* TestClock.setTime(start)
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    for (let i = 0; i < most; i++) {
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return yield* exit
      yield* TestClock.adjust(step)
    }
    yield* Fiber.interrupt(fiber)
    return yield* Effect.die(new Error(`nothing came of it in ${most * step} virtual ms`))
  })

export const memory: Mode = {
  name: "memory",
  layer: (subject, simulator, options) =>
    over(subject, options).pipe(
      Layer.provide(Layer.merge(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient)),
      Layer.provideMerge(Layer.orDie(Simulator.layerMemory(simulatorOf(subject, simulator))))
    ) as Layer.Layer<Services>,
  run: push
}

export const ports: Mode = {
  name: "ports",
  layer: (subject, simulator, options) =>
    over(subject, options).pipe(
      Layer.provide(Layer.merge(FrameSocket.layerWs, NodeHttp.layer)),
      Layer.provideMerge(Layer.orDie(Simulator.layer(simulatorOf(subject, simulator))))
    ),
  run: (effect) => effect
}

/** Runs a whole test in a mode: builds the exchange, runs the body, lets time pass. */
export const withExchange = <A, E>(
  mode: Mode,
  layer: Layer.Layer<Services>,
  body: Effect.Effect<A, E, Services | Scope.Scope>
): Effect.Effect<A, E> => mode.run(body.pipe(Effect.scoped, Effect.provide(layer)))
