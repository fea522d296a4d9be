/** How long the package takes to load once effect is there, and nothing else: what reports it is loaded afterwards. */
await import("effect")
const from = performance.now()
await import("effect-exchange")
const importMs = performance.now() - from

const { finish, report } = await import("./Run.ts")
finish({ ...report({ importMs }), sent: 1, delivered: 1 })
