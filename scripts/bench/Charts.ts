/** Pictures of results, as SVG. The same results always give the same bytes. */
import { parse, View } from "vega"
import { compile } from "vega-lite"
import type { TopLevelSpec } from "vega-lite"

const draw = (spec: TopLevelSpec): Promise<string> => new View(parse(compile(spec).spec), { renderer: "none" }).toSVG()

const base = {
  $schema: "https://vega.github.io/schema/vega-lite/v6.json",
  background: "white",
  padding: 8,
  config: { font: "sans-serif", axis: { labelLimit: 320, titleFontWeight: "normal" } }
} as const

export interface Point {
  readonly label: string
  readonly value: number
  readonly low: number
  readonly high: number
  readonly bound: number | null
  readonly verdict: string
}

const colours = {
  domain: ["met", "undecided", "missed", "no target"],
  range: ["#2a7f3f", "#b07d10", "#b3261e", "#5f6b7a"]
}

/** Ratios with their intervals; a tick where the target is. */
export const ratios = (title: string, points: ReadonlyArray<Point>, axis: string, isLog: boolean): Promise<string> => {
  const y = { field: "label", type: "nominal", sort: null, title: null } as const
  const scale = isLog ? { type: "log" } as const : { zero: true } as const
  const x = (field: string) => ({ field, type: "quantitative", title: axis, scale }) as const
  const color = { field: "verdict", type: "nominal", scale: colours, title: null } as const
  return draw({
    ...base,
    title,
    width: 560,
    height: { step: 18 },
    data: { values: points.map((point) => ({ ...point })) },
    layer: [
      { mark: { type: "rule", strokeWidth: 2 }, encoding: { y, x: x("low"), x2: { field: "high" }, color } },
      { mark: { type: "point", filled: true, size: 60, opacity: 1 }, encoding: { y, x: x("value"), color } },
      {
        transform: [{ filter: "isValid(datum.bound)" }],
        mark: { type: "tick", thickness: 2, size: 14, color: "#1f2933" },
        encoding: { y, x: x("bound") }
      }
    ]
  })
}

export interface Value {
  readonly group: string
  readonly label: string
  readonly value: number
}

/** One point a contestant, group by group: on a logarithmic scale a bar has no beginning. */
export const points = (title: string, values: ReadonlyArray<Value>, axis: string): Promise<string> =>
  draw({
    ...base,
    title,
    data: { values: values.map((value) => ({ ...value })) },
    facet: {
      row: { field: "group", type: "nominal", sort: null, title: null, header: { labelAngle: 0, labelAlign: "left" } }
    },
    spec: {
      width: 480,
      height: { step: 14 },
      mark: { type: "point", filled: true, size: 70, opacity: 1, color: "#33658a" },
      encoding: {
        y: { field: "label", type: "nominal", sort: null, title: null },
        x: { field: "value", type: "quantitative", title: `${axis}, logarithmic`, scale: { type: "log" } }
      }
    },
    resolve: { scale: { y: "independent" } }
  })
