import type { Output } from "./print.js";
// Types only: the schemas are for tests and for docs/schemas, no verb waits for them to be made.
import type { Shape, ShapeName } from "./shapes.js";

/** Prints JSON of a published shape. */
export function printJson<K extends ShapeName>(out: Output, _shape: K, value: Shape<K>): void {
  out.json(value);
}

/** The same as one line of a stream of them. */
export function printJsonLine<K extends ShapeName>(out: Output, _shape: K, value: Shape<K>): void {
  out.jsonLine(value);
}
