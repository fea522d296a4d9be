import { faultsSuite } from "./faultsSuite.ts"

faultsSuite("connect", "connection", "subscribe")
