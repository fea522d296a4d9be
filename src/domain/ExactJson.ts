/** JSON whose numbers are exact: a long one stays the text that it is. */

/** Of a number of more than 15 digits, which a double need not say back as it was; also within some texts. */
const long = /[^"\d.][\d.]{16}/

/** A member that is such a number. Within a text the quote before the colon would be escaped. */
const longMember = /(?<!\\)":(\s*)(-?[\d.]{16,}(?:[eE][+-]?\d+)?)(?=\s*[,}\]])/g

/**
 * Throws what `JSON.parse` throws. Members that are such numbers, as ids are, are quoted before the parse: a reviver would
 * cost several times as much, and is left for what that does not find.
 */
export const parse = (text: string): unknown => {
  if (!long.test(text)) return JSON.parse(text)
  const quoted = text.replace(longMember, "\":$1\"$2\"")
  return long.test(quoted) ? (JSON.parse as ParseWithSource)(text, keepText) : JSON.parse(quoted)
}

/** `context.source` is the number's text (ES2025, in Node since 21), which TypeScript's es2023 library does not know. */
type ParseWithSource = (text: string, reviver: typeof keepText) => unknown

const keepText = (_key: string, value: unknown, { source }: { readonly source?: string }): unknown =>
  typeof value !== "number" || source === undefined || source === String(value) ? value : source
