/** Who may import whom. A row says what a module may import; whatever has no row is refused. */
import { posix } from "node:path"
import type { File, Import, Violation } from "./Source.ts"
import { read } from "./Source.ts"

export interface Row {
  readonly may: ReadonlyArray<string>
  /** What may be imported with `import type` only. */
  readonly mayTypes?: ReadonlyArray<string>
}

const services = [
  "PublicWebsocket",
  "PrivateWebsocket",
  "OrderEntry",
  "MarketRest",
  "AccountRest",
  "ExchangeClock",
  "RateLimits"
]

const consumers = ["domain", "ExchangeError", "services"]
const factory = [...consumers, "connection", "ExchangeAdapter", "AccountAdapter", "session", "account"]
const frontDoor = [...factory, "ExchangeFactory", "Narrowed", "exchanges", "exchanges/index", "composite"]
const everything = [
  ...frontDoor,
  "PublicWebsocketTest",
  "PublicExchangeTest",
  "PrivateWebsocketTest",
  "OrderEntryTest",
  "arbitrage",
  "parallel",
  "legacy",
  "flags",
  "ExchangeDialect",
  "RestClient",
  "Exchanges",
  "index"
]

/** `self`: the module's own folder. The order is from the bottom of the tree to the top. */
export const table: Readonly<Record<string, Row>> = {
  domain: { may: ["self"] },
  ExchangeError: { may: ["domain"] },
  services: { may: ["domain", "ExchangeError"] },
  RestClient: { may: ["domain", "ExchangeError"] },
  AccountWorld: { may: ["domain"] },
  ExchangeDialect: { may: ["domain", "ExchangeError", "AccountWorld"] },
  connection: { may: ["self", "domain", "ExchangeError"] },
  ExchangeProtocol: { may: ["domain", "ExchangeError"], mayTypes: ["connection"] },
  AccountAdapter: { may: ["domain", "ExchangeError"], mayTypes: ["connection", "ExchangeProtocol", "services"] },
  ExchangeAdapter: {
    may: ["domain", "ExchangeError"],
    mayTypes: ["connection", "ExchangeProtocol", "AccountAdapter", "services"]
  },
  session: { may: ["self", "domain", "ExchangeError", "services", "connection", "ExchangeAdapter"] },
  account: {
    may: ["self", ...consumers, "connection", "ExchangeProtocol", "ExchangeAdapter", "AccountAdapter", "session"]
  },
  exchanges: {
    may: ["self", "domain", "ExchangeError", "ExchangeAdapter", "AccountAdapter", "RestClient"],
    mayTypes: ["connection", "services"]
  },
  dialect: { may: ["self", "domain", "ExchangeDialect", "AccountWorld"] },
  "exchanges/index": { may: ["exchanges"] },
  "exchanges/dialects": { may: ["dialect"] },
  ExchangeFactory: { may: factory },
  PublicWebsocketTest: { may: factory },
  PublicExchangeTest: { may: [...consumers, "composite", "PublicWebsocketTest"] },
  PrivateWebsocketTest: { may: ["domain", "ExchangeError", "services", "session"] },
  OrderEntryTest: { may: ["domain", "ExchangeError", "services", "AccountAdapter", "account"] },
  composite: { may: ["self", ...consumers] },
  parallel: { may: ["self", ...consumers] },
  legacy: { may: ["self", ...consumers] },
  arbitrage: { may: ["self", ...consumers, "composite"] },
  flags: { may: ["self"] },
  simulator: {
    may: ["self", "domain", "ExchangeError", "ExchangeDialect", "AccountWorld", "connection/MemoryNetwork"]
  },
  Narrowed: { may: [], mayTypes: [...consumers, "composite"] },
  Exchanges: { may: frontDoor },
  JournalFile: { may: ["domain", "ExchangeError", "connection"] },
  index: { may: everything.filter((unit) => unit !== "index") },
  SimulatedExchanges: { may: [...everything, "exchanges/dialects", "simulator"] },
  cli: { may: ["self", ...everything, "JournalFile", "SimulatedExchanges", "simulator"] },
  dashboard: { may: ["self", ...everything, "JournalFile", "SimulatedExchanges", "simulator"] }
}

export interface Unit {
  /** The row of the table. */
  readonly name: string
  /** What `self` means: equal for files of one folder. */
  readonly home: string
}

const unitOfExchange = (parts: ReadonlyArray<string>): Unit => {
  const [, exchange = "", file] = parts
  if (file === undefined) return { name: `exchanges/${exchange}`, home: "exchanges" }
  return file.endsWith("Dialect")
    ? { name: "dialect", home: `dialect of ${exchange}` }
    : { name: "exchanges", home: `exchanges/${exchange}` }
}

/** The row that a file of `src` stands in. */
export const unitOf = (path: string): Unit => {
  const parts = path.replace(/^src\//, "").replace(/\.ts$/, "").split("/")
  const [first = ""] = parts
  if (parts.length === 1) return { name: services.includes(first) ? "services" : first, home: first }
  return first === "exchanges" ? unitOfExchange(parts) : { name: first, home: first }
}

interface Edge extends Import {
  readonly from: string
  /** Path of ours, or the specifier of a package. */
  readonly to: string
}

const isRelative = (specifier: string): boolean => specifier.startsWith(".")

const edgesOf = (file: File): ReadonlyArray<Edge> =>
  read(file.text).imports.map((found) => ({
    ...found,
    from: file.path,
    to: isRelative(found.specifier) ? posix.join(posix.dirname(file.path), found.specifier) : found.specifier
  }))

const namesOf = (
  path: string
): ReadonlyArray<string> => [unitOf(path).name, path.replace(/^src\//, "").replace(/\.ts$/, "")]

const allows = (from: Unit, list: ReadonlyArray<string>, to: string): boolean =>
  namesOf(to).some((name) => list.includes(name)) || (list.includes("self") && unitOf(to).home === from.home)

const violation = (edge: Edge, rule: string, message: string): Violation => ({
  path: edge.from,
  line: edge.line,
  rule,
  message
})

const checkOwn = (edge: Edge, paths: ReadonlySet<string>): ReadonlyArray<Violation> => {
  if (!paths.has(edge.to)) {
    return [violation(edge, "import-path", `${edge.specifier} is no file; give the path with its .ts ending`)]
  }
  if (!edge.to.startsWith("src/")) {
    return [violation(edge, "import-table", `${edge.to} is outside src; move what is needed into src`)]
  }
  const from = unitOf(edge.from)
  const row = table[from.name]
  if (row === undefined || allows(from, row.may, edge.to)) return []
  const types = row.mayTypes ?? []
  if (!allows(from, types, edge.to)) return [violation(edge, "import-table", refusal(from.name, row, edge.to))]
  if (edge.typeOnly) return []
  return [violation(edge, "import-table", `${from.name} may import types of ${edge.to} only; write \`import type\``)]
}

const refusal = (name: string, row: Row, to: string): string => {
  const types = row.mayTypes === undefined ? "" : `, and types of ${row.mayTypes.join(", ")}`
  const list = row.may.map((unit) => unit === "self" ? "its own folder" : unit).join(", ")
  return `${name} may not import ${to}, only ${list}${types}; move what is needed there or turn the dependency round`
}

interface PackageRule {
  readonly packages: RegExp
  readonly users: RegExp
  readonly message: string
}

const packageRules: ReadonlyArray<PackageRule> = [
  {
    packages: /^@effect\/platform-node$/,
    users: /^$/,
    message:
      "costs a quarter of a second to load; import the module that is needed, as in @effect/platform-node/NodeRuntime"
  },
  {
    packages: /^@effect\/platform-node\//,
    users: /^src\/(?:cli\/|simulator\/|connection\/NodeHttp\.ts$)/,
    message:
      "belongs to src/cli and src/simulator, and to src/connection/NodeHttp.ts; take the service from the context instead"
  },
  {
    packages: /^ws(?:\/|$)/,
    users: /^src\/(?:connection\/(?:WsWire|FrameCutter)\.ts$|simulator\/)/,
    message: "belongs to src/connection/WsWire.ts and src/simulator; open sockets through FrameSocket"
  }
]

const packageOf = (specifier: string): string =>
  specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")

const checkPackage = (edge: Edge, declared: ReadonlySet<string>): ReadonlyArray<Violation> => {
  if (edge.to.startsWith("node:")) return []
  if (!declared.has(packageOf(edge.to))) {
    const message =
      `${edge.to} is neither in dependencies nor in peerDependencies of package.json; add it or do without`
    return [violation(edge, "undeclared-package", message)]
  }
  return packageRules
    .filter((rule) => rule.packages.test(edge.to) && !rule.users.test(edge.from))
    .map((rule) => violation(edge, "package-use", `${edge.to} ${rule.message}`))
}

const declaredPackages = (files: ReadonlyArray<File>): ReadonlySet<string> => {
  const manifest = JSON.parse(files.find((file) => file.path === "package.json")?.text ?? "{}") as {
    readonly dependencies?: Readonly<Record<string, string>>
    readonly peerDependencies?: Readonly<Record<string, string>>
  }
  return new Set([...Object.keys(manifest.dependencies ?? {}), ...Object.keys(manifest.peerDependencies ?? {})])
}

type Graph = ReadonlyMap<string, ReadonlyArray<Edge>>

/** One violation for each cycle that a depth-first walk meets. Types count too: two modules that name each other are one. */
const checkCycles = (graph: Graph): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const done = new Set<string>()
  const walk = (path: string, trail: ReadonlyArray<string>): void => {
    for (const edge of graph.get(path) ?? []) {
      const start = trail.indexOf(edge.to)
      if (start >= 0) {
        const cycle = [...trail.slice(start), edge.to].join(" -> ")
        violations.push(violation(edge, "import-cycle", `${cycle}; move what both need into a module below them`))
      } else if (!done.has(edge.to)) {
        walk(edge.to, [...trail, edge.to])
      }
    }
    done.add(path)
  }
  for (const path of graph.keys()) {
    if (!done.has(path)) walk(path, [path])
  }
  return violations
}

/** What a user's `import "effect-exchange"` loads must hold nothing that only the command or the simulator needs. */
const checkEntry = (graph: Graph): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const reached = new Set(["src/index.ts"])
  for (const path of reached) {
    for (const edge of graph.get(path) ?? []) {
      if (edge.typeOnly || edge.onCall) continue
      reached.add(edge.to)
      if (!isHeavy(edge.to)) continue
      const message =
        `src/index.ts reaches ${edge.to} through this import; the simulator, the dialects, the command, JournalFile and ` +
        "@effect/platform-node are sub-paths that the main entry never loads"
      violations.push(violation(edge, "entry", message))
    }
  }
  return violations
}

const heavyUnits = [
  "JournalFile",
  "simulator",
  "cli",
  "dashboard",
  "dialect",
  "exchanges/dialects",
  "SimulatedExchanges"
]

const isHeavy = (path: string): boolean =>
  path.startsWith("@effect/platform-node") ||
  (path.startsWith("src/") && heavyUnits.includes(unitOf(path).name))

const checkBarrel = (file: File): ReadonlyArray<Violation> =>
  edgesOf(file)
    .filter((edge) => packageRules[0]!.packages.test(edge.to))
    .map((edge) => violation(edge, "package-use", `${edge.to} ${packageRules[0]!.message}`))

const checkRow = (file: File): ReadonlyArray<Violation> => {
  const { name } = unitOf(file.path)
  if (Object.hasOwn(table, name)) return []
  const message = `${name} has no row in scripts/architecture/ImportTable.ts; add one that says what it may import`
  return [{ path: file.path, line: 1, rule: "import-table", message }]
}

const checkComputed = (file: File): ReadonlyArray<Violation> =>
  read(file.text).computedImports.map((line) => ({
    path: file.path,
    line,
    rule: "import-path",
    message: "import() of a computed path cannot be checked; name the module"
  }))

export const check = (files: ReadonlyArray<File>): ReadonlyArray<Violation> => {
  const code = files.filter((file) => /\.[cm]?[jt]s$/.test(file.path))
  const source = code.filter((file) => file.path.startsWith("src/"))
  const others = code.filter((file) => /^(?:test|scripts)\//.test(file.path))
  const paths = new Set(files.map((file) => file.path))
  const declared = declaredPackages(files)
  const graph = new Map(source.map((file) => [file.path, edgesOf(file)]))
  const edges = [...graph.values()].flat()
  return [
    ...source.flatMap(checkRow),
    ...source.flatMap(checkComputed),
    ...edges.flatMap((edge) => isRelative(edge.specifier) ? checkOwn(edge, paths) : checkPackage(edge, declared)),
    ...checkCycles(graph),
    ...checkEntry(graph),
    ...others.flatMap(checkBarrel)
  ]
}
