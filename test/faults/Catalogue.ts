/** All named faults, group by group. `docs/faults.md` is written from this. */
import { connect } from "./catalogue/Connect.ts"
import { connection } from "./catalogue/Connection.ts"
import { consumer } from "./catalogue/Consumer.ts"
import { data } from "./catalogue/Data.ts"
import { rest } from "./catalogue/Rest.ts"
import { subscribe } from "./catalogue/Subscribe.ts"
import { time } from "./catalogue/Time.ts"
import type { Fault } from "./Fault.ts"

export const catalogue: ReadonlyArray<Fault> = [
  ...connect,
  ...subscribe,
  ...data,
  ...connection,
  ...rest,
  ...consumer,
  ...time
]
