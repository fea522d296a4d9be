/** Plain columns of text. */
import { CliOutput } from "effect/cli"

export interface Column {
  readonly title: string
  /** Default `right`: most columns are numbers. */
  readonly align?: "left" | "right" | undefined
  /** At least so many characters, so that tables printed one after the other stand in line. */
  readonly width?: number | undefined
}

const gap = "  "

const pad = (text: string, width: number, align: "left" | "right"): string => {
  const space = " ".repeat(Math.max(0, width - CliOutput.displayWidth(text)))
  return align === "left" ? text + space : space + text
}

/** A line for the titles and one for each row; cells may hold colours. Columns are as wide as they need to be. */
export const format = (
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<string>>
): ReadonlyArray<string> => {
  const widths = columns.map(({ title, width = 0 }, i) =>
    rows.reduce(
      (widest, row) => Math.max(widest, CliOutput.displayWidth(row[i] ?? "")),
      Math.max(width, CliOutput.displayWidth(title))
    )
  )
  const line = (cells: ReadonlyArray<string>): string =>
    columns.map(({ align }, i) => pad(cells[i] ?? "", widths[i]!, align ?? "right")).join(gap).trimEnd()
  return [line(columns.map(({ title }) => title)), ...rows.map(line)]
}
