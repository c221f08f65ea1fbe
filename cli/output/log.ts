import pino from "pino";
import type { Log } from "../../runtime/protocol/log.js";

/** What services log with: JSON lines on stdout, for the journal. */
export function serviceLog(): Log {
  return pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime });
}
