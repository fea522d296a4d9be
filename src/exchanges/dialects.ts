// Written by `npm run docs` from the adapters in index.ts.
export { gateFuturesDialect, gateSpotDialect } from "./gate/GateDialect.ts"
export { mexcSpotDialect } from "./mexc/MexcDialect.ts"
