import { randomUUID } from "node:crypto";
import { ConvocateError, toConvocateError, type Session, type SessionId } from "../../domain/index.js";
import type { MoveResult } from "../cluster.js";
import {
  LOOK_MS,
  naming,
  patiently,
  Progress,
  QUESTION_MS,
  send,
  START_MS,
  type Moved,
  type Sent,
  type TransferOptions,
  type TransferPeer,
} from "./transfer.js";

/** `undone`: the target has nothing of it, so the session is the source's again. `left`: it was there, and is elsewhere now. */
type Finished =
  { state: "here"; session: Session; warnings: string[] } | { state: "undone" } | { state: "left"; warnings: string[] };

/**
 * Moves a session. Who decides where it is: the source's metadata, which says `moved` from one write on; before it the session
 * is the source's, after it the target's. Everything before is taken back when it fails, everything after is repeated
 * until it is done, by `finishMove` at the latest.
 */
export async function moveSession(
  id: SessionId,
  source: TransferPeer,
  target: TransferPeer,
  options: TransferOptions = {},
): Promise<MoveResult> {
  const progress = new Progress(options.onProgress);
  const transferId = randomUUID();
  const look = await source.call("export", { phase: "look", id }, LOOK_MS);
  if (look.state === "moving")
    throw new ConvocateError("SESSION_LOCKED", `session ${id} is being moved to agent ${look.to} now: wait for it`);
  if (look.state !== "here")
    throw new ConvocateError("SESSION_MOVED", `session ${id} is not on agent ${source.name} any more: list again`);
  const session = { ...look.session, port: options.port ?? look.session.port };
  const { bytes, owner, running } = look;
  await naming(target, () =>
    target.call("import", { phase: "check", session, bytes, owner, start: running }, QUESTION_MS),
  ).catch((thrown: unknown) => {
    throw portAdvice(thrown);
  });

  const signal = options.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  progress.step("stopping", bytes);
  let sent: Sent | undefined;
  let moved: Moved;
  try {
    const outcome = await send(id, session, source, target, { transferId, move: true, progress, signal });
    sent = outcome.sent;
    moved = outcome.moved;
  } catch (thrown) {
    moved = await settle(id, transferId, source, target, thrown, options);
  }
  const finished = await finishMove(id, moved, source, target, options, progress);
  if (finished.state === "here") {
    const { skipped = [], skipped_total = 0 } = sent ?? {};
    return { session: finished.session, skipped, skipped_total, warnings: finished.warnings };
  }
  throw new ConvocateError(
    "REFUSED",
    finished.state === "undone"
      ? `agent ${target.name} lost what it was sent, so session ${id} stays on ${source.name}: move it again`
      : `session ${id} was taken away from agent ${target.name} while it arrived: list again`,
  );
}

/**
 * What comes after the source said `moved`; every step may have been done before. @throws ConvocateError when one of the two
 * does not answer: the session is whole and one more move finishes.
 */
export async function finishMove(
  id: SessionId,
  moved: Moved,
  source: TransferPeer,
  target: TransferPeer,
  options: TransferOptions = {},
  progress = new Progress(options.onProgress),
): Promise<Finished> {
  const { transfer_id } = moved;
  const again = `session ${id} is on its way from ${source.name} to ${target.name}: finish it with \`convocate move ${id} --to ${target.name}\` once both answer`;
  const must = async <T>(peer: TransferPeer, work: () => Promise<T>): Promise<T> => {
    try {
      return await patiently(options, () => naming(peer, work));
    } catch (thrown) {
      const error = toConvocateError(thrown);
      throw new ConvocateError(error.code, `${again}; now ${error.message}`, { cause: error });
    }
  };
  progress.step("switching");
  const there = await must(target, () => target.call("import", { phase: "activate", id, transfer_id }, QUESTION_MS));
  if (there.state === "absent") {
    await must(source, () => source.call("export", { phase: "undo", id, transfer_id }, QUESTION_MS));
    return { state: "undone" };
  }
  const warnings: string[] = [];
  let session: Session | null = there.state === "here" ? there.session : null;
  if (session && moved.was_running && session.status.state !== "running") {
    progress.step("starting");
    try {
      session = await patiently(options, () => target.call("restart", { id }, START_MS));
    } catch (thrown) {
      const error = toConvocateError(thrown);
      // The source remembers that it ran, and so does not forget yet.
      if (error.exitCode === 3)
        throw new ConvocateError(error.code, `${again}; now ${error.message}`, { cause: error });
      if (error.code !== "SESSION_RUNNING") warnings.push(`it moved but did not start there: ${error.message}`);
    }
  }
  progress.step("cleaning");
  try {
    await patiently(options, () => source.call("export", { phase: "forget", id, transfer_id }, START_MS));
    await target.call("import", { phase: "settle", id, transfer_id }, QUESTION_MS);
  } catch (thrown) {
    const { message } = toConvocateError(thrown);
    warnings.push(
      `what is left of it on ${source.name} could not be removed: ${message}; repeat the move once it answers`,
    );
  }
  return session ? { state: "here", session, warnings } : { state: "left", warnings };
}

/**
 * After a failure: asks the source how it ended, which also ends it. Goes on when the session has moved all the same; else
 * has the target discard, and throws what went wrong.
 */
async function settle(
  id: SessionId,
  transferId: string,
  source: TransferPeer,
  target: TransferPeer,
  thrown: unknown,
  options: TransferOptions,
): Promise<Moved> {
  const why = toConvocateError(thrown);
  const outcome = await patiently(options, () =>
    source.call("export", { phase: "cancel", id, transfer_id: transferId }, QUESTION_MS),
  ).catch((error: unknown) => {
    throw new ConvocateError(
      why.code,
      `${why.message}; agent ${source.name} does not say how the move of ${id} ended: repeat it once it answers`,
      { cause: error },
    );
  });
  if (outcome.state === "moved") return outcome;
  // Nobody waits for it: the target forgets by itself after a day, or when the next move comes.
  await target.call("import", { phase: "discard", id, transfer_id: transferId }, QUESTION_MS).catch(() => undefined);
  throw why;
}

function portAdvice(thrown: unknown): unknown {
  if (!(thrown instanceof ConvocateError) || thrown.code !== "PORT_TAKEN") return thrown;
  return new ConvocateError("PORT_TAKEN", `${thrown.message} (a move takes --port)`, { cause: thrown });
}
