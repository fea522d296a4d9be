/**
 * What Gate wants signed, as text. Sources: Gate REST v4 documents (v4.106), "APIv4 signed request requirements"; Gate
 * WebSocket v4 documents, "Authentication" and "WebSocket API".
 */

/** Of a signed subscription; `time` is the frame's, seconds. */
export const subscription = (channel: string, event: "subscribe" | "unsubscribe", time: number): string =>
  `channel=${channel}&event=${event}&time=${time}`

/** Of the WebSocket API: login and, where they are signed, requests. `parameters` is the text that is sent, `""` for none. */
export const api = (channel: string, parameters: string, time: number): string =>
  `api\n${channel}\n${parameters}\n${time}`

export interface RestCall {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  /** With `/api/v4` before it. */
  readonly path: string
  /** As in the URL, in its order, not escaped; empty when there is none. */
  readonly query: string
  /** SHA-512 of the body, lower-case hex, also of an empty one. */
  readonly bodyHash: string
  /** Seconds. */
  readonly time: number
}

export const rest = ({ bodyHash, method, path, query, time }: RestCall): string =>
  `${method}\n${path}\n${query}\n${bodyHash}\n${time}`
