/** How long the package takes to load once effect is there. */
import { finish, report } from "./Run.ts"

await import("effect")
const from = performance.now()
await import("effect-exchange")
finish({ ...report({ importMs: performance.now() - from }), sent: 1, delivered: 1 })
