/**
 * The front door: Layers by exchange id, typed from the list of adapters. `Exchanges` is the instance for ours;
 * `make` builds one for any list, so that an exchange of your own comes through the same door.
 */
import { Layer, LayerMap } from "effect"
import type { Config, Effect, Scope, Stream } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as FrameSocket from "./connection/FrameSocket.ts"
import * as NodeHashes from "./connection/NodeHashes.ts"
import type { EventOf, PublicChannel, PublicTag } from "./domain/Channel.ts"
import type { Feed } from "./domain/Feed.ts"
import type { AccountEventOf, PrivateTag } from "./domain/PrivateChannel.ts"
import type { ExchangeAdapter } from "./ExchangeAdapter.ts"
import type { ExchangeError } from "./ExchangeError.ts"
import * as ExchangeFactory from "./ExchangeFactory.ts"
import * as adapters from "./exchanges/index.ts"
import type { MarketRest } from "./MarketRest.ts"
import type { OrderEntry } from "./OrderEntry.ts"
import type { AccountFeed } from "./PrivateWebsocket.ts"
import { PrivateWebsocket } from "./PrivateWebsocket.ts"
import type { FeedOptions } from "./PublicWebsocket.ts"
import { PublicWebsocket } from "./PublicWebsocket.ts"

type Adapters = Readonly<Record<string, ExchangeAdapter<string, PublicTag, PrivateTag>>>

type ById<A extends Adapters> = { readonly [K in keyof A as A[K]["id"]]: A[K] }

type PrivateTagsOf<A> = A extends ExchangeAdapter<string, PublicTag, infer Tags> ? Tags : never

type TagsOf<A> = A extends ExchangeAdapter<string, infer Tags> ? Tags : never

/** What a Layer from the front door gives. */
export type Services = PublicWebsocket | MarketRest

/** `PublicWebsocket` whose `feed` takes only the channels that the exchange has. */
export type Narrowed<Tags extends PublicTag> = Omit<PublicWebsocket["Service"], "feed"> & {
  readonly feed: <const C extends Extract<PublicChannel, { readonly _tag: Tags }>>(
    channel: C,
    options?: FeedOptions
  ) => Effect.Effect<Stream.Stream<Feed<EventOf<C>>, ExchangeError>, ExchangeError, Scope.Scope>
}

/** What a Layer of an account from the front door gives. */
export type AccountServices = PrivateWebsocket | OrderEntry | ExchangeFactory.AccountCore

/** `PrivateWebsocket` whose `feed` takes only the channels that the account has. */
export type NarrowedPrivate<Tags extends PrivateTag> = Omit<PrivateWebsocket["Service"], "feed"> & {
  readonly feed: <const Tag extends Tags>(
    channel: Tag
  ) => Effect.Effect<Stream.Stream<AccountFeed<AccountEventOf<Tag>>, ExchangeError>, ExchangeError, Scope.Scope>
}

/** Sockets on `ws` and HTTP on `fetch`: what Node needs. For other runtimes use `ExchangeFactory.layer`. */
const platform = Layer.merge(FrameSocket.layerWs, FetchHttpClient.layer)

/** The same with Node's own hashes, for signatures. */
const signingPlatform = Layer.merge(platform, NodeHashes.layer)

export interface FrontDoor<A extends Adapters> {
  readonly ids: ReadonlyArray<keyof ById<A> & string>
  readonly isKnown: (id: string) => id is keyof ById<A> & string
  /** The adapter of an id. */
  readonly get: <Id extends keyof ById<A> & string>(id: Id) => ById<A>[Id]
  /** The public services of one exchange, sockets and HTTP included. */
  readonly layer: (
    id: keyof ById<A> & string,
    options?: ExchangeFactory.WebsocketOptions
  ) => Layer.Layer<Services>
  /** The same with every topic on several sockets at once, see `ExchangeFactory.layerRedundant`. */
  readonly layerRedundant: (
    id: keyof ById<A> & string,
    options?: ExchangeFactory.RedundantOptions
  ) => Layer.Layer<Services>
  /** The same with its options from the configuration; `overrides` win. */
  readonly layerConfig: (
    id: keyof ById<A> & string,
    overrides?: ExchangeFactory.WebsocketOptions
  ) => Layer.Layer<Services, Config.ConfigError>
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
  const door = {
    ids: [...byId.keys()],
    isKnown: (id: string) => byId.has(id),
    get,
    layer: (id: string, options?: ExchangeFactory.WebsocketOptions) =>
      Layer.provide(ExchangeFactory.layer(get(id), options), platform),
    layerRedundant: (id: string, options?: ExchangeFactory.RedundantOptions) =>
      Layer.provide(ExchangeFactory.layerRedundant(get(id), options), platform),
    layerConfig: (id: string, overrides?: ExchangeFactory.WebsocketOptions) =>
      Layer.provide(ExchangeFactory.layerConfig(get(id), overrides), platform),
    publicOf: (id: string) => {
      get(id)
      return PublicWebsocket
    },
    layerPrivate: (id: string, options: ExchangeFactory.AccountOptions) =>
      Layer.provide(ExchangeFactory.layerPrivate(get(id), options), signingPlatform),
    layerOrderEntry: (id: string, options: ExchangeFactory.AccountOptions) =>
      Layer.provide(ExchangeFactory.layerOrderEntry(get(id), options), signingPlatform),
    layerAccount: (id: string, options: ExchangeFactory.AccountOptions) =>
      Layer.provide(ExchangeFactory.layerAccount(get(id), options), signingPlatform),
    layerAccountConfig: (id: string, overrides?: ExchangeFactory.AccountConfigOptions) =>
      Layer.provide(ExchangeFactory.layerAccountConfig(get(id), overrides), signingPlatform),
    privateOf: (id: string) => {
      get(id)
      return PrivateWebsocket
    }
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
  layerConfig,
  layerOrderEntry,
  layerPrivate,
  layerRedundant,
  privateOf,
  publicOf
} = make(adapters)

/** Ids of the exchanges that come with the package. */
export type KnownExchange = (typeof ids)[number]

/**
 * The Layers of several exchanges in one program, built on first use and shared: `PublicWebsockets.get("mexc-spot")`.
 * Options come from the configuration, see `ExchangeFactory.config`.
 */
export class PublicWebsockets extends LayerMap.Service<PublicWebsockets>()("effect-exchange/PublicWebsockets", {
  lookup: (id: KnownExchange) => layerConfig(id)
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
