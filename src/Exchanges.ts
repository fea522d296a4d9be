/**
 * The front door: Layers by exchange id, typed from the list of adapters. `Exchanges` is the instance for ours;
 * `make` builds one for any list, so that an exchange of your own comes through the same door.
 */
import { Layer, LayerMap } from "effect"
import type { Config, Effect, Scope, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as PrivateExchange from "./composite/PrivateExchange.ts"
import * as PublicExchange from "./composite/PublicExchange.ts"
import * as FrameSocket from "./connection/FrameSocket.ts"
import * as NodeHashes from "./connection/NodeHashes.ts"
import * as NodeHttp from "./connection/NodeHttp.ts"
import type { EventOf, PublicChannel, PublicTag } from "./domain/Channel.ts"
import type { Feed } from "./domain/Feed.ts"
import type { AccountEventOf, PrivateTag } from "./domain/PrivateChannel.ts"
import type { ExchangeAdapter } from "./ExchangeAdapter.ts"
import type { ExchangeError } from "./ExchangeError.ts"
import * as ExchangeFactory from "./ExchangeFactory.ts"
import * as adapters from "./exchanges/index.ts"
import type { Ability, OrderRequest, Placed } from "./OrderEntry.ts"
import { OrderEntry } from "./OrderEntry.ts"
import type { AccountFeed } from "./PrivateWebsocket.ts"
import { PrivateWebsocket } from "./PrivateWebsocket.ts"
import type { FeedOptions } from "./PublicWebsocket.ts"
import { PublicWebsocket } from "./PublicWebsocket.ts"

type Adapters = Readonly<Record<string, ExchangeAdapter<string, PublicTag, PrivateTag, Ability>>>

type ById<A extends Adapters> = { readonly [K in keyof A as A[K]["id"]]: A[K] }

type TagsOf<A> = A extends ExchangeAdapter<string, infer Tags> ? Tags : never

type PrivateTagsOf<A> = A extends ExchangeAdapter<string, PublicTag, infer Tags> ? Tags : never

type AbilitiesOf<A> = A extends ExchangeAdapter<string, PublicTag, PrivateTag, infer Can> ? Can : never

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

/** `PublicWebsocket` whose `feed` takes only the channels that the exchange has. */
export type Narrowed<Tags extends PublicTag> = Omit<PublicWebsocket["Service"], "feed"> & {
  readonly feed: <const C extends Extract<PublicChannel, { readonly _tag: Tags }>>(
    channel: C,
    options?: FeedOptions
  ) => Effect.Effect<Stream.Stream<Feed<EventOf<C>>, ExchangeError>, ExchangeError, Scope.Scope>
}

/** `PrivateWebsocket` whose `feed` takes only the channels that the account has. */
export type NarrowedPrivate<Tags extends PrivateTag> = Omit<PrivateWebsocket["Service"], "feed"> & {
  readonly feed: <const Tag extends Tags>(
    channel: Tag
  ) => Effect.Effect<Stream.Stream<AccountFeed<AccountEventOf<Tag>>, ExchangeError>, ExchangeError, Scope.Scope>
}

/** What each ability adds to order entry, and to an order. */
interface Added {
  readonly amend: "amend"
  readonly cancelAllAfter: "cancelAllAfter"
  readonly leverage: "leverage" | "setLeverage"
  readonly marginMode: "setMarginMode"
}

type AddedBy<Can extends Ability> = Added[Extract<Can, keyof Added>]

/** An order that uses only what the exchange has. */
export type OrderOf<Can extends Ability> =
  & Omit<OrderRequest, "quoteQuantity" | "reduceOnly" | "trigger">
  & Pick<OrderRequest, Extract<Can, "quoteQuantity" | "reduceOnly" | "trigger">>
  & { readonly [K in Exclude<"quoteQuantity" | "reduceOnly" | "trigger", Can>]?: undefined }

/** `OrderEntry` with only those commands and fields of orders that the exchange has. */
export type NarrowedOrders<Can extends Ability> =
  & Omit<OrderEntry["Service"], Added[keyof Added] | "place" | "placeAll">
  & Pick<OrderEntry["Service"], AddedBy<Can>>
  & {
    readonly place: (order: OrderOf<Can>) => Effect.Effect<Placed, ExchangeError>
    readonly placeAll: (
      orders: NonEmptyReadonlyArray<OrderOf<Can>>
    ) => Effect.Effect<ReadonlyArray<Placed>, ExchangeError>
  }

/** `PublicExchange` without what the exchange has no channel for. */
export type NarrowedPublicExchange<Tags extends PublicTag> =
  & Omit<PublicExchange.PublicExchange["Service"], "bookTicker" | "funding" | "futuresTicker" | "ticker">
  & Pick<PublicExchange.PublicExchange["Service"], TickersOf<Tags>>

type TickersOf<Tags extends PublicTag> =
  | ("BookTicker" extends Tags ? "bookTicker" : never)
  | ("Ticker" extends Tags ? "ticker" : never)
  | ("FuturesTicker" extends Tags ? "funding" | "futuresTicker" : never)

/** `PrivateExchange` without positions where there are none, and with the orders that the exchange has. */
export type NarrowedPrivateExchange<Tags extends PrivateTag, Can extends Ability> =
  & Omit<PrivateExchange.PrivateExchange["Service"], "orders" | "positions">
  & Pick<PrivateExchange.PrivateExchange["Service"], "Positions" extends Tags ? "positions" : never>
  & { readonly orders: NarrowedOrders<Can> }

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
  ) => Layer.Layer<Services, ExchangeError | Config.ConfigError>
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
  /** The service of the context, narrowed to the channels of this exchange: asking for what it lacks does not compile. */
  readonly publicOf: <Id extends keyof ById<A> & string>(
    id: Id
  ) => Effect.Effect<Narrowed<TagsOf<ById<A>[Id]>>, never, PublicWebsocket>
  /** The events of an account; with the commands too: `layerAccount`, for both share clock, limits and readings. */
  readonly layerPrivate: (
    id: keyof ById<A> & string,
    options: ExchangeFactory.AccountOptions
  ) => Layer.Layer<PrivateWebsocket | ExchangeFactory.AccountCore, ExchangeError>
  /** The commands of an account. */
  readonly layerOrderEntry: (
    id: keyof ById<A> & string,
    options: ExchangeFactory.AccountOptions
  ) => Layer.Layer<OrderEntry | ExchangeFactory.AccountCore, ExchangeError>
  /** All services of one account. */
  readonly layerAccount: (
    id: keyof ById<A> & string,
    options: ExchangeFactory.AccountOptions
  ) => Layer.Layer<AccountServices, ExchangeError>
  /** The same with its keys from the configuration: `MEXC_API_KEY`, or `MEXC_<ACCOUNT>_API_KEY` of a named account. */
  readonly layerAccountConfig: (
    id: keyof ById<A> & string,
    overrides?: ExchangeFactory.AccountConfigOptions
  ) => Layer.Layer<AccountServices, ExchangeError | Config.ConfigError>
  /** The service of the context, narrowed to the channels of this exchange's accounts. */
  readonly privateOf: <Id extends keyof ById<A> & string>(
    id: Id
  ) => Effect.Effect<NarrowedPrivate<PrivateTagsOf<ById<A>[Id]>>, never, PrivateWebsocket>
  /** The service of the context, narrowed to what this exchange's order entry can. */
  readonly ordersOf: <Id extends keyof ById<A> & string>(
    id: Id
  ) => Effect.Effect<NarrowedOrders<AbilitiesOf<ById<A>[Id]>>, never, OrderEntry>
  /** The service of the context, narrowed likewise: a spot exchange has no funding. */
  readonly publicExchangeOf: <Id extends keyof ById<A> & string>(
    id: Id
  ) => Effect.Effect<NarrowedPublicExchange<TagsOf<ById<A>[Id]>>, never, PublicExchange.PublicExchange>
  /** The service of the context, narrowed likewise: a spot exchange has no positions. */
  readonly privateExchangeOf: <Id extends keyof ById<A> & string>(
    id: Id
  ) => Effect.Effect<
    NarrowedPrivateExchange<PrivateTagsOf<ById<A>[Id]>, AbilitiesOf<ById<A>[Id]>>,
    never,
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

export const make = <const A extends Adapters>(list: A): FrontDoor<A> => {
  const byId = index(list)
  const get = (id: string): ExchangeAdapter => {
    const adapter = byId.get(id)
    // The types rule it out; from untyped code it is a mistake in the program, not a condition to handle.
    if (adapter === undefined) throw new TypeError(`unknown exchange ${id}; known are ${[...byId.keys()].join(", ")}`)
    return adapter
  }
  /** The narrowing is in the types alone. */
  const narrowed = <A>(service: A) => (id: string): A => {
    get(id)
    return service
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
    publicOf: narrowed(PublicWebsocket),
    layerPrivate: (id: string, options: ExchangeFactory.AccountOptions) =>
      Layer.provide(ExchangeFactory.layerPrivate(get(id), options), signingPlatform),
    layerOrderEntry: (id: string, options: ExchangeFactory.AccountOptions) =>
      Layer.provide(ExchangeFactory.layerOrderEntry(get(id), options), signingPlatform),
    layerAccount: (id: string, options: ExchangeFactory.AccountOptions) =>
      Layer.provide(ExchangeFactory.layerAccount(get(id), options), signingPlatform),
    layerAccountConfig: (id: string, overrides?: ExchangeFactory.AccountConfigOptions) =>
      Layer.provide(ExchangeFactory.layerAccountConfig(get(id), overrides), signingPlatform),
    privateOf: narrowed(PrivateWebsocket),
    ordersOf: narrowed(OrderEntry),
    publicExchangeOf: narrowed(PublicExchange.PublicExchange),
    privateExchangeOf: narrowed(PrivateExchange.PrivateExchange)
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
