/** Text in frames. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** UTF-8 text of `bytes[start, end)`; null when it is none. */
export const read = (bytes: Uint8Array, start: number, end: number): string | null => {
  try {
    return utf8.decode(bytes.subarray(start, end))
  } catch {
    return null
  }
}

/** The same for text that is nearly always short and ASCII: eight bytes at a time, without a call out of the engine. */
export const readShort = (bytes: Uint8Array, start: number, end: number): string | null => {
  let i = start
  let value = ""
  for (; i + 8 <= end; i += 8) {
    const a = bytes[i]!
    const b = bytes[i + 1]!
    const c = bytes[i + 2]!
    const d = bytes[i + 3]!
    const e = bytes[i + 4]!
    const f = bytes[i + 5]!
    const g = bytes[i + 6]!
    const h = bytes[i + 7]!
    if ((a | b | c | d | e | f | g | h) > 127) return read(bytes, start, end)
    value += String.fromCharCode(a, b, c, d, e, f, g, h)
  }
  for (; i < end; i++) {
    if (bytes[i]! > 127) return read(bytes, start, end)
    value += String.fromCharCode(bytes[i]!)
  }
  return value
}

/** Longer frames are not looked at as text, unless they begin as JSON does. */
const longest = 4096

/** A frame's words, when it is text that is meant to be read: no control characters but white space. */
export const readable = (frame: Uint8Array): string | null => {
  const words = frame.length > longest ? null : read(frame, 0, frame.length)
  return words !== null && !/[^\P{Cc}\s]/u.test(words) ? words : null
}
