export { gateFuturesDialect, gateSpotDialect } from "./gate/GateDialect.ts"
export { mexcSpotDialect } from "./mexc/MexcDialect.ts"
