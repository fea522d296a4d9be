/**
 * The front door: Layers by exchange id, typed from the list of adapters. `Exchanges` is the instance for ours;
 * `make` builds one for any list, so that an exchange of your own comes through the same door.
 */
import { Effect, Layer, LayerMap } from "effect"
import type { Config } from "effect"
import * as PrivateExchange from "./composite/PrivateExchange.ts"
import * as PublicExchange from "./composite/PublicExchange.ts"
import * as FrameSocket from "./connection/FrameSocket.ts"
import * as NodeHashes from "./connection/NodeHashes.ts"
import * as NodeHttp from "./connection/NodeHttp.ts"
import type { PublicTag } from "./domain/Channel.ts"
import type { ExchangeId, Instrument } from "./domain/Instrument.ts"
import type { PrivateTag } from "./domain/PrivateChannel.ts"
import type { ExchangeAdapter } from "./ExchangeAdapter.ts"
import * as ExchangeError from "./ExchangeError.ts"
import * as ExchangeFactory from "./ExchangeFactory.ts"
import * as adapters from "./exchanges/index.ts"
import type {
  Narrowed,
  NarrowedOrders,
  NarrowedPrivate,
  NarrowedPrivateExchange,
  NarrowedPublicExchange
} from "./Narrowed.ts"
import type { Ability } from "./OrderEntry.ts"
import { OrderEntry } from "./OrderEntry.ts"
import { PrivateWebsocket } from "./PrivateWebsocket.ts"
import { PublicWebsocket } from "./PublicWebsocket.ts"

type Adapters = Readonly<Record<string, ExchangeAdapter<string, PublicTag, PrivateTag, Ability>>>

type ById<A extends Adapters> = { readonly [K in keyof A as A[K]["id"]]: A[K] }

type TagsOf<A> = A extends ExchangeAdapter<string, infer Tags> ? Tags : never

type PrivateTagsOf<A> = A extends ExchangeAdapter<string, PublicTag, infer Tags> ? Tags : never

type AbilitiesOf<A> = A extends ExchangeAdapter<string, PublicTag, PrivateTag, infer Can> ? Can : never

type KindOf<A> = A extends { readonly kind: infer K extends Instrument["kind"] } ? K : never

type NarrowedOf<A> = Narrowed<TagsOf<A>, KindOf<A>>

type NarrowedPublicExchangeOf<A> = NarrowedPublicExchange<TagsOf<A>, KindOf<A>>

type NarrowedOrdersOf<A> = NarrowedOrders<AbilitiesOf<A>, KindOf<A>>

type NarrowedPrivateExchangeOf<A> = NarrowedPrivateExchange<PrivateTagsOf<A>, AbilitiesOf<A>, KindOf<A>>

export type {
  Narrowed,
  NarrowedOrders,
  NarrowedPrivate,
  NarrowedPrivateExchange,
  NarrowedPublicExchange,
  OrderOf,
  PairOf
} from "./Narrowed.ts"

/** What a Layer of a market from the front door gives. */
export type MarketServices = ExchangeFactory.MarketServices

/** What a Layer of an account from the front door gives. */
export type AccountServices = PrivateWebsocket | OrderEntry | ExchangeFactory.AccountCore

/** What the Layer of a whole exchange from the front door gives. */
export type Services = ExchangeFactory.Services | PublicExchange.PublicExchange | PrivateExchange.PrivateExchange

/** What the composites are told. */
export interface CompositeOptions {
  readonly publicExchange?: PublicExchange.PublicExchangeOptions | undefined
  readonly privateExchange?: PrivateExchange.PrivateExchangeOptions | undefined
}

/** What the Layer of a whole exchange is told. */
export interface WholeOptions extends ExchangeFactory.ExchangeConfigOptions, CompositeOptions {}

/**
 * `PublicExchange` and `PrivateExchange` over the services of an exchange: the Layer that `layer` has on top, for Layers of
 * your own, such as a simulator's. Positions are valued at the mark prices of the market.
 */
export const layerComposites = (
  { privateExchange, publicExchange }: CompositeOptions = {}
): Layer.Layer<
  PublicExchange.PublicExchange | PrivateExchange.PrivateExchange,
  never,
  ExchangeFactory.Services
> =>
  Layer.effect(
    PrivateExchange.PrivateExchange,
    PublicExchange.PublicExchange.use(({ futuresTicker }) =>
      PrivateExchange.make({ mark: (pair) => futuresTicker(pair)?.markPrice ?? null, ...privateExchange })
    )
  ).pipe(Layer.provideMerge(PublicExchange.layer(publicExchange)))

/** Sockets on `ws` and HTTP on `node:http`: what Node needs. For other runtimes use `ExchangeFactory`. */
const platform = Layer.merge(FrameSocket.layerWs, NodeHttp.layer)

/** The same with Node's own hashes, for signatures. */
const signingPlatform = Layer.merge(platform, NodeHashes.layer)

export interface FrontDoor<A extends Adapters> {
  readonly ids: ReadonlyArray<keyof ById<A> & string>
  readonly isKnown: (id: string) => id is keyof ById<A> & string
  /** The adapter of an id. */
  readonly get: <Id extends keyof ById<A> & string>(id: Id) => ById<A>[Id]
  /**
   * Everything of one exchange: the market and an account with their composites, sockets and HTTP included, over one clock
   * and one set of limits.
   * Keys and options come from the configuration (`MEXC_API_KEY`, or `MEXC_<ACCOUNT>_API_KEY` of a named account; see
   * `ExchangeFactory.config`); `options` win. A market alone needs no keys: `layerPublic`.
   */
  readonly layer: (
    id: keyof ById<A> & string,
    options?: WholeOptions
  ) => Layer.Layer<Services, ExchangeError.ExchangeError | Config.ConfigError>
  /** The market of one exchange. */
  readonly layerPublic: (
    id: keyof ById<A> & string,
    options?: ExchangeFactory.WebsocketOptions
  ) => Layer.Layer<MarketServices>
  /** The same with every topic on several sockets at once, see `ExchangeFactory.layerRedundant`. */
  readonly layerRedundant: (
    id: keyof ById<A> & string,
    options?: ExchangeFactory.RedundantOptions
  ) => Layer.Layer<MarketServices>
  /** The market with its options from the configuration; `overrides` win. */
  readonly layerPublicConfig: (
    id: keyof ById<A> & string,
    overrides?: ExchangeFactory.WebsocketOptions
  ) => Layer.Layer<MarketServices, Config.ConfigError>
  /**
   * The service of the context, narrowed to the channels, handlers and pairs of this exchange: asking for what it lacks does
   * not compile. Fails with `InvalidUse` when the Layer in use is another exchange's, as the other four do.
   */
  readonly publicOf: <Id extends keyof ById<A> & string>(
    id: Id
  ) => Effect.Effect<NarrowedOf<ById<A>[Id]>, ExchangeError.ExchangeError, PublicWebsocket>
  /** The events of an account; with the commands too: `layerAccount`, for both share clock, limits and readings. */
  readonly layerPrivate: (
    id: keyof ById<A> & string,
    options: ExchangeFactory.AccountOptions
  ) => Layer.Layer<PrivateWebsocket | ExchangeFactory.AccountCore, ExchangeError.ExchangeError>
  /** The commands of an account. */
  readonly layerOrderEntry: (
    id: keyof ById<A> & string,
    options: ExchangeFactory.AccountOptions
  ) => Layer.Layer<OrderEntry | ExchangeFactory.AccountCore, ExchangeError.ExchangeError>
  /** All services of one account. */
  readonly layerAccount: (
    id: keyof ById<A> & string,
    options: ExchangeFactory.AccountOptions
  ) => Layer.Layer<AccountServices, ExchangeError.ExchangeError>
  /** The same with its keys from the configuration: `MEXC_API_KEY`, or `MEXC_<ACCOUNT>_API_KEY` of a named account. */
  readonly layerAccountConfig: (
    id: keyof ById<A> & string,
    overrides?: ExchangeFactory.AccountConfigOptions
  ) => Layer.Layer<AccountServices, ExchangeError.ExchangeError | Config.ConfigError>
  /** The service of the context, narrowed to the channels of this exchange's accounts. */
  readonly privateOf: <Id extends keyof ById<A> & string>(
    id: Id
  ) => Effect.Effect<NarrowedPrivate<PrivateTagsOf<ById<A>[Id]>>, ExchangeError.ExchangeError, PrivateWebsocket>
  /** The service of the context, narrowed to what this exchange's order entry can. */
  readonly ordersOf: <Id extends keyof ById<A> & string>(
    id: Id
  ) => Effect.Effect<NarrowedOrdersOf<ById<A>[Id]>, ExchangeError.ExchangeError, OrderEntry>
  /** The service of the context, narrowed likewise: a spot exchange has no funding. */
  readonly publicExchangeOf: <Id extends keyof ById<A> & string>(
    id: Id
  ) => Effect.Effect<NarrowedPublicExchangeOf<ById<A>[Id]>, ExchangeError.ExchangeError, PublicExchange.PublicExchange>
  /** The service of the context, narrowed likewise: a spot exchange has no positions. */
  readonly privateExchangeOf: <Id extends keyof ById<A> & string>(
    id: Id
  ) => Effect.Effect<
    NarrowedPrivateExchangeOf<ById<A>[Id]>,
    ExchangeError.ExchangeError,
    PrivateExchange.PrivateExchange
  >
}

/** Ids of the list, each once: a second adapter would replace the first in silence. */
const index = (list: Adapters): ReadonlyMap<string, ExchangeAdapter> => {
  const byId = new Map<string, ExchangeAdapter>()
  for (const adapter of Object.values(list)) {
    if (byId.has(adapter.id)) throw new TypeError(`two adapters have the id ${adapter.id}; ids name their exchange`)
    byId.set(adapter.id, adapter)
  }
  return byId
}

const otherExchange = (what: string, id: string, provided: string): ExchangeError.ExchangeError =>
  ExchangeError.make(
    id,
    new ExchangeError.InvalidUse({
      detail: `${what} of ${id} was asked for, but the Layer in use is ${provided}'s; provide the Layer of ${id} here`
    })
  )

export const make = <const A extends Adapters>(list: A): FrontDoor<A> => {
  const byId = index(list)
  const get = (id: string): ExchangeAdapter => {
    const adapter = byId.get(id)
    // The types rule it out; from untyped code it is a mistake in the program, not a condition to handle.
    if (adapter === undefined) throw new TypeError(`unknown exchange ${id}; known are ${[...byId.keys()].join(", ")}`)
    return adapter
  }
  /** The narrowing is in the types; whether the Layer in use is this exchange's only the run can tell. */
  const narrowed =
    <R, S extends { readonly exchange: ExchangeId }>(what: string, service: Effect.Effect<S, never, R>) =>
    (id: string): Effect.Effect<S, ExchangeError.ExchangeError, R> => {
      get(id)
      return Effect.flatMap(
        service,
        (found) => found.exchange === id ? Effect.succeed(found) : Effect.fail(otherExchange(what, id, found.exchange))
      )
    }
  const door = {
    ids: [...byId.keys()],
    isKnown: (id: string) => byId.has(id),
    get,
    layer: (id: string, { privateExchange, publicExchange, ...options }: WholeOptions = {}) =>
      layerComposites({ privateExchange, publicExchange }).pipe(
        Layer.provideMerge(ExchangeFactory.layerConfig(get(id), options)),
        Layer.provide(signingPlatform)
      ),
    layerPublic: (id: string, options?: ExchangeFactory.WebsocketOptions) =>
      Layer.provide(ExchangeFactory.layerPublic(get(id), options), platform),
    layerRedundant: (id: string, options?: ExchangeFactory.RedundantOptions) =>
      Layer.provide(ExchangeFactory.layerRedundant(get(id), options), platform),
    layerPublicConfig: (id: string, overrides?: ExchangeFactory.WebsocketOptions) =>
      Layer.provide(ExchangeFactory.layerPublicConfig(get(id), overrides), platform),
    publicOf: narrowed("PublicWebsocket", PublicWebsocket),
    layerPrivate: (id: string, options: ExchangeFactory.AccountOptions) =>
      Layer.provide(ExchangeFactory.layerPrivate(get(id), options), signingPlatform),
    layerOrderEntry: (id: string, options: ExchangeFactory.AccountOptions) =>
      Layer.provide(ExchangeFactory.layerOrderEntry(get(id), options), signingPlatform),
    layerAccount: (id: string, options: ExchangeFactory.AccountOptions) =>
      Layer.provide(ExchangeFactory.layerAccount(get(id), options), signingPlatform),
    layerAccountConfig: (id: string, overrides?: ExchangeFactory.AccountConfigOptions) =>
      Layer.provide(ExchangeFactory.layerAccountConfig(get(id), overrides), signingPlatform),
    privateOf: narrowed("PrivateWebsocket", PrivateWebsocket),
    ordersOf: narrowed("OrderEntry", OrderEntry),
    publicExchangeOf: narrowed("PublicExchange", PublicExchange.PublicExchange),
    privateExchangeOf: narrowed("PrivateExchange", PrivateExchange.PrivateExchange)
  }
  return door as unknown as FrontDoor<A>
}

export const {
  get,
  ids,
  isKnown,
  layer,
  layerAccount,
  layerAccountConfig,
  layerOrderEntry,
  layerPrivate,
  layerPublic,
  layerPublicConfig,
  layerRedundant,
  ordersOf,
  privateExchangeOf,
  privateOf,
  publicExchangeOf,
  publicOf
} = make(adapters)

/** Ids of the exchanges that come with the package. */
export type KnownExchange = (typeof ids)[number]

/**
 * The Layers of several exchanges in one program, built on first use and shared: `PublicWebsockets.get("mexc-spot")`.
 * Options come from the configuration, see `ExchangeFactory.config`.
 */
export class PublicWebsockets extends LayerMap.Service<PublicWebsockets>()("effect-exchange/PublicWebsockets", {
  lookup: (id: KnownExchange) => layerPublicConfig(id)
}) {}

/** One account of one exchange. Left out: the account without a name, whose keys are `MEXC_API_KEY` or `GATE_API_KEY`. */
export interface AccountKey {
  readonly exchange: KnownExchange
  readonly account?: string | undefined
}

/**
 * The Layers of several accounts in one program, each built on first use and shared:
 * `Accounts.get({ exchange: "gate-spot", account: "hedge" })`. Keys and options come from the configuration, see
 * `ExchangeFactory.layerAccountConfig`.
 */
export class Accounts extends LayerMap.Service<Accounts>()("effect-exchange/Accounts", {
  lookup: ({ account, exchange }: AccountKey) => layerAccountConfig(exchange, { account })
}) {}

/**
 * Everything of several exchanges in one program, with one account each, built on first use and shared:
 * `WholeExchanges.get({ exchange: "gate-futures" })`. See `layer`.
 */
export class WholeExchanges extends LayerMap.Service<WholeExchanges>()("effect-exchange/WholeExchanges", {
  lookup: ({ account, exchange }: AccountKey) => layer(exchange, { account })
}) {}
