/** The command as a process: exit codes, signals, pipes. */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import type { ChildProcess, SpawnOptions } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { createInterface } from "node:readline"

const repository = resolve(import.meta.dirname, "../..")
const main = resolve(repository, "src/cli/main.ts")

interface Urls {
  readonly ws: string
  readonly rest: string
}

class Process {
  readonly child: ChildProcess
  stdout = ""
  stderr = ""
  readonly closed: Promise<unknown>

  constructor(command: string, args: ReadonlyArray<string>, options: SpawnOptions = {}) {
    this.child = spawn(command, args, { stdio: "pipe", ...options })
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => this.stdout += text)
    this.child.stderr!.setEncoding("utf8").on("data", (text: string) => this.stderr += text)
    this.closed = once(this.child, "close")
  }

  /** Exit code, once nothing more comes. */
  async ended(): Promise<number | null> {
    await this.closed
    return this.child.exitCode
  }

  /** Waits for a line on stdout or stderr that holds the text. */
  shows(part: string, stream: "stdout" | "stderr" = "stdout"): Promise<string> {
    return new Promise((found, missing) => {
      const lines = createInterface(this.child[stream]!)
      lines.on("line", (line) => line.includes(part) && found(line))
      lines.on("close", () => missing(new Error(`ended without "${part}":\n${this.stdout}\n${this.stderr}`)))
    })
  }
}

const exchange = (...args: ReadonlyArray<string>): Process => new Process(process.execPath, [main, ...args])

const simulate = async (...args: ReadonlyArray<string>) => {
  const running = exchange("simulate", "--pairs=BTC/USDT", "--exit-with-parent", ...args)
  const urls = JSON.parse(await running.shows("{")) as Readonly<Record<string, Urls>>
  const flags = (id: string) => [`--ws-url=${urls[id]!.ws}`, `--rest-url=${urls[id]!.rest}`]
  return { running, flags }
}

/** A machine under load may take longer to close than the demo waits, and what was placed last may not be known yet: it says so. */
const endedWell = (code: number | null, stderr: string): void => {
  if (code === 7) assert.include(stderr, "orders are left, or may be")
  else if (code !== 0) assert.include(stderr, "not everything was closed within")
}

describe("the process", () => {
  it("knows its version, and says with its exit code what was wrong", async () => {
    const { version } = JSON.parse(readFileSync(resolve(repository, "package.json"), "utf8")) as { version: string }
    const asked = exchange("--version")
    assert.strictEqual(await asked.ended(), 0)
    assert.include(asked.stdout, version)
    const wrong = exchange("watch", "nowhere", "--pairs=BTC/USDT", "--channels=book")
    assert.strictEqual(await wrong.ended(), 2)
    assert.strictEqual(wrong.stdout, "")
  })

  it("plants edges only where a pair is listed", async () => {
    const running = exchange("simulate", "--pairs=BTC/EUR,ETH/USDT", "--edges=2", "--exit-with-parent")
    assert.include(Object.keys(JSON.parse(await running.shows("{")) as object), "gate-futures")
    running.child.stdin!.end()
    await running.closed
  })

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    it(`ends simulator and watch in order at ${signal}`, async () => {
      const { running, flags } = await simulate()
      const watching = exchange("watch", "gate-spot", "--pairs=BTC/USDT", "--channels=book", ...flags("gate-spot"))
      await watching.shows("\"snapshot\"")
      watching.child.kill(signal)
      assert.strictEqual(await watching.ended(), 0)
      running.child.kill(signal)
      assert.strictEqual(await running.ended(), 0)
    })
  }

  it("ends with 130 when a signal cuts short what has an end of its own", async () => {
    const decoding = exchange("decode", "mexc-spot")
    decoding.child.stdin!.write("{}\n")
    await decoding.shows("InvalidLine")
    decoding.child.kill("SIGINT")
    assert.strictEqual(await decoding.ended(), 130)
  })

  it("ends quietly when nobody reads its output any more", async () => {
    const { running, flags } = await simulate()
    const watching = exchange("watch", "mexc-spot", "--pairs=BTC/USDT", "--channels=BookTicker", ...flags("mexc-spot"))
    await watching.shows("BookTicker")
    watching.child.stdout!.destroy()
    assert.strictEqual(await watching.ended(), 0)
    assert.notInclude(watching.stderr, "ERROR")
    running.child.stdin!.end()
    assert.strictEqual(await running.ended(), 0)
  })

  it("reads and writes as slowly as its neighbours", async () => {
    const decoding = exchange("decode", "mexc-spot")
    const line = `${JSON.stringify({ id: 1, raw: "{\"id\":0,\"code\":0,\"msg\":\"PONG\"}" })}\n`
    decoding.child.stdout!.pause()
    for (let i = 0; i < 20; i++) decoding.child.stdin!.write(line.repeat(1_000))
    decoding.child.stdin!.end()
    decoding.child.stdout!.resume()
    assert.strictEqual(await decoding.ended(), 0)
    assert.strictEqual(decoding.stdout.split("\n").length, 20_001)
  })

  it("shows a demo over a simulator of its own, until SIGINT", async () => {
    const demo = exchange("demo", "--pairs=BTC/USDT,ETH/USDT")
    await demo.shows("ok/ok")
    demo.child.kill("SIGINT")
    endedWell(await demo.ended(), demo.stderr)
    assert.include(demo.stdout, "EXCHANGE")
    assert.notInclude(demo.stdout, "\x1b")
  })

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it(`${signal} while the demo is still being loaded ends it in order, with its summary`, async () => {
      const hook = `import { registerHooks } from "node:module"
        registerHooks({ load: (url, context, next) => {
          if (url.endsWith("/cli/Demo.ts")) process.kill(process.pid, "${signal}")
          return next(url, context)
        } })`
      const early = ["--import", `data:text/javascript,${encodeURIComponent(hook)}`]
      const demo = new Process(process.execPath, [...early, main, "demo", "--pairs=BTC/USDT", "--json"])
      endedWell(await demo.ended(), demo.stderr)
      assert.isNull(demo.child.signalCode)
      assert.deepInclude(JSON.parse(demo.stdout), { pairs: 1 })
    })
  }

  it("sums a demo up in one line of JSON", async () => {
    const demo = exchange("demo", "--pairs=10", "--duration=5s", "--json")
    endedWell(await demo.ended(), demo.stderr)
    const summary = JSON.parse(demo.stdout) as { readonly pairs: number; readonly pairsSeen: number }
    assert.isAtLeast(summary.pairs, 10)
    assert.strictEqual(summary.pairsSeen, summary.pairs)
  })

  it.skipIf(process.platform === "win32")("notices when npm has left it behind", async () => {
    const shell = new Process("/bin/sh", ["-c", `"${process.execPath}" "${main}" demo --pairs=BTC/USDT & wait`], {
      env: { ...process.env, npm_lifecycle_event: "start" }
    })
    await shell.shows("simulated")
    shell.child.kill("SIGKILL")
    // Its output is shared with the command and closes with it.
    await shell.closed
    assert.include(shell.stdout, "EXCHANGE")
  })
})
