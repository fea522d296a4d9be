/**
 * What every client process does: it tells the server to begin, checks one pass, takes part in one timed run and prints a
 * report. It loads nothing that a contestant would not load anyway.
 */
import { existsSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import type { Job, Metric, Report, Setup } from "../Protocol.ts"
import { micros, stampBase } from "../Protocol.ts"

export const job = JSON.parse(process.argv[2]!) as Job

/** Not imported: Node then reads each of its exports, two of which load Node's own WebSocket with all of `fetch`. */
const { request } = process.getBuiltinModule("node:http")

/** Tells the server something; its answer. */
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

/** Of a paced run: what runs once a wake-up has to be compiled too, and a flood has few of those. */
const pacedWarmShare = 0.5

/** Frames that are flooded before a paced run. */
const warmFrames = 50_000

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

const flooded = async (frames: number): Promise<Metrics> => {
  let metrics: Metrics = {}
  await counted(frames, `flood?frames=${frames}`, (done) => {
    let from = moment()
    let begun = 0
    const end = (): void => {
      metrics = cost(from, count - begun)
      next = Number.POSITIVE_INFINITY
      done()
    }
    onNext = () => {
      next = frames
      onNext = end
      begun = count
      from = moment()
    }
    next = Math.floor(frames * warmShare)
  })
  return metrics
}

/** Nothing has come for so long, ms: what was going to come has. */
const silence = 400

/** Whether the last event was so long ago is looked at so often, ms. */
const glance = 10

/** Sends, and waits until the client has worked all of it off; when that was. */
const lossyFlood = async (frames: number): Promise<Moment> => {
  await command(`flood?frames=${frames}`)
  return workedOff()
}

/** When nothing has been done for a while: the moment of the last work. */
const workedOff = async (): Promise<Moment> => {
  let before = process.cpuUsage()
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

/**
 * For clients that hand over less than they read: CPU time is that of all that was sent, and how much was handed over is
 * told apart.
 */
const floodedLossy = async (): Promise<Metrics> => {
  await lossyFlood(Math.ceil((job.frames * warmShare) / setup.passFrames) * setup.passFrames)
  count = 0
  const from = moment()
  const end = await lossyFlood(job.frames)
  const { system, user } = end.cpu
  return {
    messagesPerSecond: job.frames / ((end.at - from.at) / 1000),
    cpuMicros: (user + system - from.cpu.user - from.cpu.system) / job.frames
  }
}

/** µs from the moment a frame was due to now. */
const delay = (): number => micros() - (Number((last as { readonly version: unknown }).version) - stampBase)

/** Until all have come; the first of them warm up. */
const pacedAll = async (send: string, record: () => void): Promise<Metrics> => {
  const warm = Math.floor(job.frames * pacedWarmShare)
  let from = moment()
  let used: Metrics = {}
  await counted(job.frames, send, (done) => {
    onNext = () => {
      if (count > warm) record()
      else if (count === warm) from = moment()
      if (count >= job.frames) {
        used = cost(from, job.frames - warm)
        done()
      } else next = count + 1
    }
    next = 1
  })
  return used
}

/** As long as all take to be sent; the first part of that time warms up. */
const pacedLossy = async (send: string, record: () => void): Promise<Metrics> => {
  const millis = (job.frames / job.rate) * 1_000
  count = 0
  let isWarm = false
  onNext = () => {
    if (isWarm) record()
    next = count + 1
  }
  next = 1
  await command(send)
  await sleep(millis * pacedWarmShare)
  isWarm = true
  const from = moment()
  await sleep(millis * (1 - pacedWarmShare))
  const used = cost(from, Math.round(job.frames * (1 - pacedWarmShare)))
  next = Number.POSITIVE_INFINITY
  return used
}

/** Times run from the moment a frame was due, so what a late frame delays counts too: no coordinated omission. */
const paced = async (isLossy: boolean): Promise<Metrics> => {
  const { build } = await import("hdr-histogram-js")
  // So that nobody is measured while its code is still compiled.
  if (isLossy) await lossyFlood(setup.passFrames)
  else await flooded(Math.ceil(warmFrames / setup.passFrames) * setup.passFrames)
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3
  })
  const send = `paced?frames=${job.frames}&rate=${job.rate}&burst=${job.burst}`
  const record = (): void => {
    const micros = delay()
    // Some events come without what they are stamped with.
    if (!Number.isNaN(micros)) histogram.recordValue(Math.max(0, micros))
  }
  const { cpuMicros } = await (isLossy ? pacedLossy(send, record) : pacedAll(send, record))
  const { p99: lateP99 } = await command("late") as { readonly p99: number }
  const used: Metrics = cpuMicros === undefined ? {} : { cpuMicros }
  if (histogram.totalCount === 0) return { ...used, lateP99 }
  const at = (percentile: number): number => histogram.getValueAtPercentile(percentile)
  return {
    ...used,
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
  if (job.mode === "paced") return paced(isLossy)
  if (job.mode === "memory") return memory()
  return isLossy ? floodedLossy() : flooded(job.frames)
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

/**
 * Of this program. `resourceUsage` would begin with what the process that started it took, for it counts from the fork on;
 * where there is no /proc it has to do.
 */
const peakRssMb = (): number => {
  const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : ""
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS) / 1024
}

export const report = (metrics: Metrics, hashes: Pick<Report, "hash" | "bookHash"> | null = null): Report => ({
  contestant: job.contestant,
  sent: job.frames,
  delivered: count,
  metrics: { ...metrics, peakRssMb: peakRssMb() },
  faults,
  hash: hashes?.hash ?? null,
  bookHash: hashes?.bookHash ?? null
})

/** Prints the report and ends, whatever is still open. */
export const finish = (made: Report): void => {
  process.stdout.write(`${JSON.stringify(made)}\n`, () => process.exit(0))
}
