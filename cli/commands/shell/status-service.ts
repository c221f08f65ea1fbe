import { pino } from "pino";
import { findServiceUser, keepConnections } from "../../../runtime/shell/index.js";
import { serveStatus } from "../../../runtime/shell/status/index.js";
import { interruptSignal } from "../../output/run.js";

/** Runs convocate-status until SIGTERM (or Ctrl-C), logging JSON lines to stdout for the journal. */
export async function runStatusService(port: number): Promise<void> {
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime });
  const told = Promise.withResolvers<undefined>();
  const stop = (): void => told.resolve(undefined);
  process.once("SIGTERM", stop);
  interruptSignal.addEventListener("abort", stop, { once: true });
  const user = await findServiceUser();
  if (!user) log.warn({}, "no service user on this host: only root may read the status socket");
  await using service = await serveStatus({ port, gid: user?.gid ?? null, log });
  await using _agents = await keepConnections({ log });
  await told.promise;
  log.info({ port: service.port }, "convocate-status stops");
}
