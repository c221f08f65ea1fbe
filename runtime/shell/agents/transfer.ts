import { setTimeout as sleep } from "node:timers/promises";
import { ConvocateError, toConvocateError, type AgentId, type Portable, type SessionId } from "../../domain/index.js";
import type { Trailer } from "../../protocol/rpc/archive.js";
import type { Op, OpInput, OpResult } from "../../protocol/rpc/ops.js";
import type { MoveProgress } from "../cluster.js";
import { answer, ask, relay, type BulkChannel } from "./relay.js";

/** An agent as a move needs it. */
export interface TransferPeer {
  readonly id: AgentId;
  readonly name: string;
  /** Sent again after a connection that broke: every phase is safe to repeat. */
  call<O extends Op>(op: O, params: OpInput<O>, timeoutMs: number): Promise<OpResult<O>>;
  open(signal: AbortSignal): Promise<BulkChannel>;
}

export interface TransferOptions {
  /** Published on the target; its own when left out. */
  port?: number;
  onProgress?: (progress: MoveProgress) => void;
  signal?: AbortSignal;
  /** How long an agent that does not answer is asked again, at the steps where its answer decides. Default 30 s. */
  patienceMs?: number;
}

export const QUESTION_MS = 10_000;
/** Walking a home of a million files. */
export const LOOK_MS = 120_000;
/** Waiting for the session's turn, 10 s of grace for its container, and the walk. */
const BEGIN_MS = 150_000;
/** Reading a home of some hundred GB once more, and writing it out. */
const VERIFY_MS = 3_600_000;
const COMMIT_MS = 30_000;
export const START_MS = 30_000;
const PATIENCE_MS = 30_000;
const AGAIN_AFTER_MS = 500;

export type Moved = Extract<OpResult<"export">, { state: "moved" }>;
export type Sent = Extract<Trailer, { ok: true }>;

interface SendOptions {
  transferId: string;
  move: boolean;
  progress: Progress;
  signal: AbortSignal;
}

/** Export, import, compare; and, of a move, commit. */
export async function send(
  id: SessionId,
  session: Portable,
  source: TransferPeer,
  target: TransferPeer,
  options: SendOptions & { move: true },
): Promise<{ sent: Sent; moved: Moved }>;
export async function send(
  id: SessionId,
  session: Portable,
  source: TransferPeer,
  target: TransferPeer,
  options: SendOptions & { move: false },
): Promise<{ sent: Sent }>;
export async function send(
  id: SessionId,
  session: Portable,
  source: TransferPeer,
  target: TransferPeer,
  { transferId, move, progress, signal }: SendOptions,
): Promise<{ sent: Sent; moved?: Moved }> {
  using opened = new DisposableStack();
  const from = opened.adopt(await source.open(signal), (channel) => channel.close());
  const here = await naming(source, async () => {
    const begin = { phase: "begin", id, transfer_id: transferId } as const;
    await ask(from, "export", move ? { ...begin, move_to: target.id } : begin);
    return await answer(from, "export", { timeoutMs: BEGIN_MS, signal });
  });
  if (here.state !== "here") throw new ConvocateError("INTERNAL", `agent ${source.name} answered ${here.state}`);
  const { bytes, owner } = here;
  const to = opened.adopt(await target.open(signal), (channel) => channel.close());
  await naming(target, async () => {
    const begin = { phase: "begin", transfer_id: transferId, request_id: transferId, from: source.id } as const;
    await ask(to, "import", { ...begin, session, bytes, owner });
    await answer(to, "import", { timeoutMs: QUESTION_MS, signal });
  });
  progress.step("copying", bytes);
  const sent = await relay(from, to, {
    onBytes: (passed) => progress.passed(passed),
    onSent: () => progress.step("verifying"),
    verifyMs: VERIFY_MS,
    signal,
  });
  if (!move) return { sent };
  progress.step("switching");
  const moved = await naming(source, async () => {
    await ask(from, "export", { phase: "commit", id, transfer_id: transferId });
    return await answer(from, "export", { timeoutMs: COMMIT_MS });
  });
  if (moved.state !== "moved") throw new ConvocateError("INTERNAL", `agent ${source.name} answered ${moved.state}`);
  return { sent, moved };
}

/** Asks again while the agent cannot be reached. */
export async function patiently<T>({ patienceMs = PATIENCE_MS }: TransferOptions, work: () => Promise<T>): Promise<T> {
  const end = performance.now() + patienceMs;
  for (;;) {
    try {
      return await work();
    } catch (thrown) {
      const unreachable = thrown instanceof ConvocateError && thrown.exitCode === 3;
      if (!unreachable || performance.now() + AGAIN_AFTER_MS > end) throw thrown;
    }
    await sleep(AGAIN_AFTER_MS);
  }
}

/** An error says which of the two agents it comes from. */
export async function naming<T>(peer: TransferPeer, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const error = toConvocateError(thrown);
    if (error.message.includes(`agent ${peer.name}`)) throw error;
    throw new ConvocateError(error.code, `agent ${peer.name}: ${error.message}`, { cause: error });
  }
}

export class Progress {
  #now: MoveProgress = { step: "checking", bytes: 0, total: 0 };
  readonly #tell: ((progress: MoveProgress) => void) | undefined;

  constructor(tell: ((progress: MoveProgress) => void) | undefined) {
    this.#tell = tell;
    tell?.(this.#now);
  }

  step(step: MoveProgress["step"], total = this.#now.total): void {
    this.#set({ ...this.#now, step, total });
  }

  passed(bytes: number): void {
    this.#set({ ...this.#now, bytes, total: Math.max(bytes, this.#now.total) });
  }

  #set(now: MoveProgress): void {
    this.#now = now;
    this.#tell?.(now);
  }
}
