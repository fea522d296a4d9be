/**
 * The entry of the `exchange` command. Everything else is loaded behind it: that takes a good part of a second on a busy machine,
 * in which a signal would end the process without a word.
 */
import * as Signals from "./Signals.ts"

Signals.hold()
void import("./Process.ts")
