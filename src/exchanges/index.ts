export { gateFutures } from "./gate/GateFutures.ts"
export { gateSpot } from "./gate/GateSpot.ts"
export { mexcSpot } from "./mexc/MexcSpot.ts"
