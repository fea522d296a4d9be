/** The pure hearts: modules without clock and effect in which one wrong line costs money, and the tests that guard them. */

export interface Heart {
  readonly name: string
  readonly files: ReadonlyArray<string>
  /** Only these run: each of them is quick, and none opens a port. */
  readonly tests: ReadonlyArray<string>
}

const gateDecoding = [
  "test/exchanges/gateFields.test.ts",
  "test/exchanges/gateDecode.test.ts",
  "test/exchanges/gateMutants.test.ts",
  "test/exchanges/gateSpot.test.ts",
  "test/exchanges/gateFutures.test.ts"
]

export const hearts: ReadonlyArray<Heart> = [
  {
    name: "book sequencing",
    files: ["src/session/BookSequence.ts"],
    tests: ["test/session/BookSequence.test.ts"]
  },
  {
    name: "subscriptions",
    files: ["src/session/Subscriptions.ts"],
    tests: ["test/session/Subscriptions.test.ts"]
  },
  {
    name: "overflow accounting",
    files: ["src/session/Subscriber.ts"],
    tests: ["test/session/BufferSubscriber.test.ts", "test/session/Subscriber.test.ts"]
  },
  {
    name: "silence",
    files: ["src/session/ArrivalModel.ts", "src/session/SilenceWatch.ts"],
    tests: ["test/session/ArrivalModel.test.ts", "test/session/SilenceWatch.test.ts"]
  },
  {
    name: "merging of connections",
    files: ["src/session/Lanes.ts"],
    tests: ["test/session/Merge.test.ts"]
  },
  {
    name: "copies of one event",
    files: ["src/session/LaneOrder.ts", "src/session/LaneBook.ts"],
    tests: ["test/session/LaneOrder.test.ts", "test/session/Merge.test.ts"]
  },
  {
    name: "replacing of connections",
    files: ["src/session/Rotation.ts"],
    tests: ["test/session/RotationSteps.test.ts"]
  },
  {
    name: "placement of topics",
    files: ["src/session/Sharding.ts", "src/session/Booking.ts"],
    tests: ["test/session/Sharding.test.ts", "test/session/Booking.test.ts"]
  },
  {
    name: "continuity",
    files: ["src/session/Continuity.ts"],
    tests: ["test/session/Continuity.test.ts"]
  },
  {
    name: "book snapshots",
    files: ["src/session/Snapshots.ts"],
    tests: ["test/session/Snapshots.test.ts"]
  },
  {
    name: "MEXC decoder",
    files: ["src/exchanges/mexc/MexcDecode.ts"],
    tests: ["test/exchanges/mexcDecode.test.ts"]
  },
  {
    name: "MEXC wire",
    files: [
      "src/exchanges/mexc/MexcWire.ts",
      "src/exchanges/mexc/MexcChannels.ts",
      "src/exchanges/mexc/MexcText.ts"
    ],
    tests: ["test/exchanges/mexcWire.test.ts"]
  },
  {
    name: "MEXC answers",
    files: ["src/exchanges/mexc/MexcControl.ts"],
    tests: ["test/exchanges/mexcWire.test.ts"]
  },
  {
    name: "Gate fast path",
    files: ["src/exchanges/gate/GateFast.ts", "src/exchanges/gate/GateEvents.ts"],
    tests: gateDecoding
  },
  {
    name: "Gate scanner",
    files: ["src/exchanges/gate/GateScanner.ts"],
    tests: ["test/exchanges/gateFields.test.ts", "test/exchanges/gateMutants.test.ts"]
  },
  {
    name: "Gate layouts",
    files: ["src/exchanges/gate/GateLayouts.ts"],
    tests: ["test/exchanges/gateFields.test.ts"]
  },
  {
    name: "Gate decoder",
    files: ["src/exchanges/gate/GateDecode.ts", "src/exchanges/gate/GateTopics.ts"],
    tests: gateDecoding
  },
  {
    name: "Gate general decoder",
    files: ["src/exchanges/gate/GateGeneric.ts", "src/exchanges/gate/GateWire.ts"],
    tests: gateDecoding
  },
  {
    name: "Gate requests",
    files: ["src/exchanges/gate/GateRequests.ts"],
    tests: [
      "test/exchanges/gateSpot.test.ts",
      "test/exchanges/gateFutures.test.ts",
      "test/exchanges/gateDecode.test.ts"
    ]
  },
  {
    name: "signing",
    files: [
      "src/connection/Auth.ts",
      "src/exchanges/gate/GateSigning.ts",
      "src/exchanges/mexc/MexcSigning.ts"
    ],
    tests: ["test/exchanges/signing.test.ts"]
  },
  {
    name: "outcome resolution",
    files: ["src/account/OrderOutcomes.ts", "src/account/OrderLookup.ts", "src/account/OrderFailure.ts"],
    tests: ["test/account/outcomes.test.ts", "test/account/orderDesk.test.ts"]
  },
  {
    name: "order desk",
    files: [
      "src/account/OrderDesk.ts",
      "src/account/OrderDispatch.ts",
      "src/account/OrderNames.ts",
      "src/account/OrderPlacing.ts",
      "src/account/OrderChanging.ts"
    ],
    tests: ["test/account/outcomes.test.ts", "test/account/orderDesk.test.ts"]
  },
  {
    name: "reconciliation",
    files: [
      "src/account/Ledger.ts",
      "src/account/Succession.ts",
      "src/account/FillOrder.ts",
      "src/account/BalanceMoment.ts"
    ],
    tests: ["test/account/ledger.test.ts", "test/account/reconciliation.test.ts"]
  },
  {
    name: "matching",
    files: ["src/simulator/OrderMatching.ts"],
    tests: ["test/simulator/matching.test.ts"]
  },
  {
    name: "wallets and positions",
    files: ["src/simulator/Wallet.ts", "src/simulator/SwapPosition.ts"],
    tests: ["test/simulator/matching.test.ts"]
  },
  {
    name: "simulated account",
    files: ["src/simulator/SimulatedAccount.ts"],
    tests: ["test/simulator/simulatedAccount.test.ts", "test/simulator/accounts.test.ts"]
  }
]
