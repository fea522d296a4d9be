/** What MEXC wants signed. Source: MEXC API documents, spot v3, "Signed". */

/** Query parameters as they are sent, escaped with upper-case `%XX`; all of them stand in the query for every method. */
export const query = (parameters: Readonly<Record<string, string>>): string =>
  Object.entries(parameters).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")

/** The text to sign: the query, and right behind it the body, with nothing between. */
export const total = (queryText: string, body = ""): string => queryText + body
