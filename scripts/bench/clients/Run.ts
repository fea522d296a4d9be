/**
 * What every client process does: it tells the server to begin, checks one pass, takes part in one timed run and prints a
 * report. It loads nothing that a contestant would not load anyway.
 */
import { request } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import type { Job, Metric, Report, Setup } from "../Protocol.ts"
import { micros, stampBase } from "../Protocol.ts"

export const job = JSON.parse(process.argv[2]!) as Job

/** Tells the server something; its answer. Not `fetch`, which takes memory that not everybody needs. */
export const command = (text: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const sending = request(
      { host: "127.0.0.1", port: job.port, path: `/bench/${text}`, method: "POST", agent: false },
      (response) => {
        let body = ""
        response.setEncoding("utf8").on("data", (part: string) => body += part).on(
          "end",
          () => resolve(JSON.parse(body))
        )
      }
    )
    sending.on("error", reject).end()
  })

setTimeout(() => {
  const { caseId, contestant, deadline, port } = job
  process.stderr.write(
    `${caseId} ${contestant}: no report within ${deadline / 1000} s; is the server on port ${port} still there?\n`
  )
  process.exit(1)
}, job.deadline)

const sockets = job.sockets === null ? "" : `&sockets=${job.sockets}`

export const setup = await command(`begin?case=${job.caseId}&deflate=${job.deflate}${sockets}`) as Setup

export const url = `${job.tlsPort === null ? "ws" : "wss"}://127.0.0.1:${job.tlsPort ?? job.port}${setup.path}`
export const restUrl = `http://127.0.0.1:${job.port}${setup.restPath}`

// ---- counting: the same few instructions for everybody --------------------------------------------------------------

let count = 0
/** The count at which something is to be done. */
let next = Number.POSITIVE_INFINITY
/** Kept, so that no event can be optimised away. */
let last: unknown
let onNext = (): void => {}

export const consume = (event: unknown): void => {
  last = event
  if (++count === next) onNext()
}

export const advance = (by: number): void => {
  count += by
  if (count >= next) onNext()
}

/** Calls for every event until it says that it has had enough. */
export const onEach = (take: (event: unknown) => boolean): void => {
  onNext = () => {
    next = take(last) ? Number.POSITIVE_INFINITY : count + 1
  }
  next = count + 1
}

export const faults: Record<string, number> = { fallbacks: 0, failures: 0, gaps: 0, lost: 0 }

const longest = 60_000

/** Runs until `total` events have come; the partial count when they do not. */
const counted = async (total: number, send: string, begin: (done: () => void) => void): Promise<void> => {
  count = 0
  const done = new Promise<void>(begin)
  await command(send)
  await Promise.race([done, sleep(longest, undefined, { ref: false })])
  if (count < total) process.stderr.write(`${job.caseId} ${job.contestant}: ${count} of ${total} events came\n`)
}

/** All that is sent, and nothing is looked at. */
export const passed = (frames: number): Promise<void> =>
  counted(frames, `flood?frames=${frames}`, (done) => {
    onNext = done
    next = frames
  })

let hash = 0

/** Without what differs from run to run; summed, because connections are not ordered among each other. */
const addToHash = (event: object): void => {
  const { firstVersion: _first, receivedAt: _, version: _version, ...values } = event as Record<string, unknown>
  const text = JSON.stringify(Object.entries(values).sort(([a], [b]) => a < b ? -1 : 1))
  let value = 0
  for (let i = 0; i < text.length; i++) value = (Math.imul(value, 31) + text.charCodeAt(i)) | 0
  hash = (hash + value) | 0
}

/** One pass over all frames, every event of which goes into the hash. */
const verify = (hasEvents: boolean): Promise<void> =>
  counted(setup.passFrames, `flood?frames=${setup.passFrames}`, (done) => {
    onNext = () => {
      if (hasEvents) addToHash(last as object)
      if (count >= setup.passFrames) done()
      else next = count + 1
    }
    next = 1
  })

type Metrics = Partial<Record<Metric, number>>

const warmShare = 0.3

interface Moment {
  readonly at: number
  readonly cpu: NodeJS.CpuUsage
}

const moment = (): Moment => ({ at: performance.now(), cpu: process.cpuUsage() })

const cost = (from: Moment, messages: number): Metrics => {
  const { system, user } = process.cpuUsage(from.cpu)
  return {
    messagesPerSecond: messages / ((performance.now() - from.at) / 1000),
    cpuMicros: (user + system) / messages
  }
}

const flooded = async (): Promise<Metrics> => {
  let metrics: Metrics = {}
  await counted(job.frames, `flood?frames=${job.frames}`, (done) => {
    let from = moment()
    let begun = 0
    const end = (): void => {
      metrics = cost(from, count - begun)
      next = Number.POSITIVE_INFINITY
      done()
    }
    onNext = () => {
      next = job.frames
      onNext = end
      begun = count
      from = moment()
    }
    next = Math.floor(job.frames * warmShare)
  })
  return metrics
}

/** Nothing has come for so long, ms: what was going to come has. */
const silence = 400

/** Whether the last event was so long ago is looked at so often, ms. */
const glance = 10

/**
 * For clients that hand over less than they read: CPU time is that of all that was sent, and how much was handed over is
 * told apart.
 */
const floodedLossy = async (): Promise<Metrics> => {
  const flood = async (frames: number): Promise<Moment> => {
    let before = process.cpuUsage()
    await command(`flood?frames=${frames}`)
    let quietSince = performance.now()
    let end = moment()
    while (performance.now() - quietSince < silence) {
      await sleep(glance)
      const { user } = process.cpuUsage(before)
      before = process.cpuUsage()
      // It works for more than a third of the time.
      if (user > glance * 333) {
        quietSince = performance.now()
        end = moment()
      }
    }
    return end
  }
  await flood(Math.ceil((job.frames * warmShare) / setup.passFrames) * setup.passFrames)
  count = 0
  const from = moment()
  const end = await flood(job.frames)
  const { system, user } = end.cpu
  return {
    messagesPerSecond: job.frames / ((end.at - from.at) / 1000),
    cpuMicros: (user + system - from.cpu.user - from.cpu.system) / job.frames
  }
}

/** Times run from the moment a frame was due, so what a late frame delays counts too: no coordinated omission. */
const paced = async (): Promise<Metrics> => {
  const { build } = await import("hdr-histogram-js")
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3
  })
  const warm = Math.floor(job.frames * warmShare)
  let from = moment()
  let used: Metrics = {}
  await counted(job.frames, `paced?frames=${job.frames}&rate=${job.rate}&burst=${job.burst}`, (done) => {
    onNext = () => {
      const due = Number((last as { readonly version: unknown }).version) - stampBase
      if (count > warm) histogram.recordValue(Math.max(0, micros() - due))
      else if (count === warm) from = moment()
      if (count >= job.frames) {
        used = cost(from, job.frames - warm)
        done()
      } else next = count + 1
    }
    next = 1
  })
  const { p99: lateP99 } = await command("late") as { readonly p99: number }
  const at = (percentile: number): number => histogram.getValueAtPercentile(percentile)
  return {
    ...(used.cpuMicros === undefined ? {} : { cpuMicros: used.cpuMicros }),
    p50: at(50),
    p95: at(95),
    p99: at(99),
    p999: at(99.9),
    max: histogram.maxValue,
    lateP99
  }
}

const megabyte = 1024 * 1024

/** Heap in use once everything dead is gone. */
export const heapMb = (): number => {
  global.gc!()
  global.gc!()
  return process.memoryUsage().heapUsed / megabyte
}

export const rssMb = (): number => process.memoryUsage().rss / megabyte

const memory = async (): Promise<Metrics> => {
  const warm = Math.ceil((job.frames * 0.4) / setup.passFrames) * setup.passFrames
  await passed(warm)
  const before = heapMb()
  await passed(job.frames)
  const after = heapMb()
  return { heapGrowthMb: after - before, heapMb: after }
}

export interface Book {
  readonly bids: ReadonlyArray<number>
  readonly asks: ReadonlyArray<number>
}

/** Levels a side that are compared. */
export const comparedLevels = 100

const bookHash = (bookOf: (pair: string) => Book | null): number => {
  let sum = 0
  for (const pair of setup.pairs) {
    const text = JSON.stringify(bookOf(pair))
    for (let i = 0; i < text.length; i++) sum = (Math.imul(sum, 31) + text.charCodeAt(i)) | 0
  }
  return sum
}

export interface Contender {
  /** Events of ours in every field, to be compared. */
  readonly hasEvents: boolean
  /** May hand over less than it reads. */
  readonly isLossy?: boolean
  /** A book at the end. */
  readonly bookOf?: ((pair: string) => Book | null) | undefined
}

const measured = ({ isLossy = false }: Contender): Promise<Metrics> => {
  if (job.mode === "paced") return paced()
  if (job.mode === "memory") return memory()
  return isLossy ? floodedLossy() : flooded()
}

/** What every contestant does once it is subscribed. */
export const compete = async (contender: Contender): Promise<Report> => {
  await command("quiet")
  await sleep(50)
  if (contender.isLossy !== true) await verify(contender.hasEvents)
  const metrics = await measured(contender)
  return report(metrics, {
    hash: contender.hasEvents ? hash : null,
    bookHash: contender.bookOf === undefined ? null : bookHash(contender.bookOf)
  })
}

export const report = (metrics: Metrics, hashes: Pick<Report, "hash" | "bookHash"> | null = null): Report => ({
  contestant: job.contestant,
  sent: job.frames,
  delivered: count,
  metrics: { ...metrics, peakRssMb: process.resourceUsage().maxRSS / 1024 },
  faults,
  hash: hashes?.hash ?? null,
  bookHash: hashes?.bookHash ?? null
})

/** Prints the report and ends, whatever is still open. */
export const finish = (made: Report): void => {
  process.stdout.write(`${JSON.stringify(made)}\n`, () => process.exit(0))
}
