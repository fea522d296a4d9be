/** What can be asked of an account. No symbol anywhere: an account's events come for all of it. */
import type {
  AccountEvent,
  AutoDeleverage,
  Balance,
  Fill,
  LeverageChange,
  OrderUpdate,
  Position,
  PositionClose
} from "./Account.ts"

export interface PrivateEvents {
  readonly Orders: OrderUpdate
  readonly Fills: Fill
  readonly Balances: Balance
  /** Positions, and the changes of leverage and margin mode that follow from them. */
  readonly Positions: Position | LeverageChange
  readonly AutoDeleverages: AutoDeleverage
  readonly PositionCloses: PositionClose
}

export type PrivateTag = keyof PrivateEvents

/** The event that a channel yields. */
export type AccountEventOf<Tag extends PrivateTag> = PrivateEvents[Tag]

/** The channel that yields an event. */
export const tagOf: Readonly<Record<AccountEvent["_tag"], PrivateTag>> = {
  OrderUpdate: "Orders",
  Fill: "Fills",
  Balance: "Balances",
  Position: "Positions",
  LeverageChange: "Positions",
  AutoDeleverage: "AutoDeleverages",
  PositionClose: "PositionCloses"
}
