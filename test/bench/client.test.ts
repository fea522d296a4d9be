/** A contestant of the benchmark whose server is gone. */
import { assert, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const file = new URL("../../scripts/bench/clients/Product.ts", import.meta.url).pathname

const setup = {
  exchange: "gate-spot",
  path: "/ws/v4/",
  restPath: "",
  headers: {},
  isBook: false,
  choices: ["BookTicker"],
  pairs: ["BTC/USDT"],
  topics: [],
  topicsPerConnection: 1,
  sockets: [],
  passFrames: 20
}

it("gives up after its deadline, and says what may be wrong", async () => {
  // It takes the first command and hangs up on everything else, so that the session tries again and again.
  const server = createServer((request, response) => {
    if (request.url?.startsWith("/bench/begin") === true) response.end(JSON.stringify(setup))
    else request.socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  const job = {
    caseId: "gate-ticker",
    contestant: "handler",
    mode: "flood",
    port,
    tlsPort: null,
    frames: 100,
    deadline: 500
  }
  const ended = await new Promise<{ readonly code: unknown; readonly out: string; readonly words: string }>((resolve) =>
    execFile(
      process.execPath,
      ["--conditions=effect-exchange-source", file, JSON.stringify(job)],
      (error, stdout, stderr) => resolve({ code: error?.code, out: stdout, words: stderr })
    )
  )
  server.close()
  assert.deepStrictEqual([ended.code, ended.out], [1, ""])
  assert.include(ended.words, `gate-ticker handler: no report within 0.5 s; is the server on port ${port} still there?`)
})
