/** What leaves a program in memory: how often each order was asked for, by the id of ours that stands in the request. */
import { isRefusal, MemoryNetwork } from "../../src/connection/MemoryNetwork.ts"

/** Calls `note` with every request and every frame on its way, and lets it pass. */
const watching = (note: (text: string) => void) => (network: MemoryNetwork["Service"]): MemoryNetwork["Service"] =>
  MemoryNetwork.of({
    connect: (url, client, headers) => {
      const socket = network.connect(url, client, headers)
      if (isRefusal(socket)) return socket
      return {
        ...socket,
        send: (frame) => {
          note(String(frame))
          socket.send(frame)
        }
      }
    },
    request: (request) => {
      note(`${request.method} ${request.url} ${request.body}`)
      return network.request(request)
    }
  })

/** Calls `note` with each id that a request to place orders names. `idsOf`: ours in a request, none in one that places nothing. */
export const noting = (note: (id: string) => void, idsOf: (text: string) => Iterable<string>) =>
  watching((text) => {
    for (const id of idsOf(text)) note(id)
  })

/** Counts requests to place an order into `placed`. */
export const counting = (placed: Map<string, number>, idsOf: (text: string) => Iterable<string>) =>
  noting((id) => placed.set(id, (placed.get(id) ?? 0) + 1), idsOf)
