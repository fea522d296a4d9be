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

const widthsOf = (
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<string>>
): ReadonlyArray<number> =>
  columns.map(({ title, width = 0 }, i) =>
    rows.reduce(
      (widest, row) => Math.max(widest, CliOutput.displayWidth(row[i] ?? "")),
      Math.max(width, CliOutput.displayWidth(title))
    )
  )

/** A line for the titles and one for each row; cells may hold colours. Columns are as wide as they need to be. */
export const format = (
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<string>>
): ReadonlyArray<string> => {
  const widths = widthsOf(columns, rows)
  const line = (cells: ReadonlyArray<string>): string =>
    columns.map(({ align }, i) => pad(cells[i] ?? "", widths[i]!, align ?? "right")).join(gap).trimEnd()
  return [line(columns.map(({ title }) => title)), ...rows.map(line)]
}

/**
 * The columns that stand beside each other in so many characters, by index: all that are to be kept, and of the others
 * the first ones, as far as there is room.
 */
export const fitting = <C extends Column>(
  columns: ReadonlyArray<C>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  room: number,
  isKept: (column: C) => boolean
): ReadonlySet<number> => {
  const widths = widthsOf(columns, rows).map((width) => width + gap.length)
  const others = columns.flatMap((column, i) => (isKept(column) ? [] : [i]))
  let left = room + gap.length - columns.reduce((sum, column, i) => sum + (isKept(column) ? widths[i]! : 0), 0)
  const tooWide = others.findIndex((i) => (left -= widths[i]!) < 0)
  const cut = new Set(tooWide < 0 ? [] : others.slice(tooWide))
  return new Set(columns.flatMap((_, i) => (cut.has(i) ? [] : [i])))
}
