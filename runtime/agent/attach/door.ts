import { ConvocateError, SessionId, toConvocateError, type AgentSettings } from "../../domain/index.js";
import { AttachHeader, type AttachReply } from "../../protocol/attach/header.js";
import { parseJson } from "../../protocol/json.js";
import type { Log } from "../../protocol/log.js";
import { readFirstLine, writeLine } from "../../protocol/ndjson.js";
import { problems } from "../../protocol/rpc/server.js";
import type { ServedChannel, WindowSize } from "../../protocol/ssh/types.js";
import type { Clock } from "../clock.js";
import type { DockerEngine, TtyExec } from "../containers/engine.js";
import { containerName } from "../containers/spec.js";
import type { Locks } from "../sessions/locks.js";
import { inRunning, notRunning } from "../sessions/not-here.js";
import type { AttachCounts } from "./counts.js";
import { endClient, type HostProcesses } from "./end-client.js";
import { openTty } from "./open-tty.js";
import { Pump } from "./pump.js";
import type { InputStreams, StreamClaim } from "./streams.js";
import { READY_MS, waitForTmux } from "./tmux.js";

/** What was typed right before a connection went is still on its way to tmux; its client is left alone this long. */
const LAST_INPUT_MS = 100;
/** Between the end of an exec's output and Docker knowing its exit code. */
const EXIT_POLL_MS = 10;
const EXIT_WAIT_MS = 500;

export interface AttachOptions {
  docker: DockerEngine;
  settings: AgentSettings;
  locks: Locks;
  counts: AttachCounts;
  streams: InputStreams;
  processes: HostProcesses;
  clock: Clock;
  log: Log;
  /** Throws SESSION_NOT_FOUND. */
  find: (id: SessionId) => { name: string };
  /** Notes the time of the attach. */
  touch: (id: SessionId) => Promise<void>;
}

/** Why an attach is over: its process ended, or its client is gone or was replaced. */
type End = "process" | "client";

/** Serves `convocate-agent-attach` (SPEC 5.2). */
export class AttachDoor {
  readonly #with: AttachOptions;

  constructor(options: AttachOptions) {
    this.#with = options;
  }

  /** One channel, from its header to its end. Never rejects. */
  async serve(channel: ServedChannel): Promise<void> {
    const { log } = this.#with;
    // The channel's signal says that it is gone; without a listener an error would end the agent.
    channel.stream.on("error", () => undefined);
    let header: AttachHeader;
    try {
      header = parseHeader(await readFirstLine(channel.stream));
    } catch (error) {
      refuse(channel, error);
      return;
    }
    let size: WindowSize = { cols: header.cols, rows: header.rows };
    let resized: () => void = () => undefined;
    channel.onWindowChange((next) => {
      size = next;
      resized();
    });
    const replaced = new AbortController();
    const over = Promise.withResolvers<void>();
    const claimed = await this.#claim(header, () => {
      replaced.abort();
      return over.promise;
    }).catch((error: unknown) => {
      refuse(channel, error);
    });
    if (!claimed) return;
    const gone = AbortSignal.any([channel.signal, replaced.signal]);
    try {
      const opened = await this.#open(header, gone);
      const resizer = new Resizer(opened.tty, { cols: header.cols, rows: header.rows });
      resized = () => resizer.to(size);
      resized();
      await this.#attach(channel, header, claimed.claim, opened, gone);
    } catch (error) {
      const refused = toConvocateError(error);
      log.info({ session: header.id, code: refused.code, error: refused.message }, "attach refused");
      refuse(channel, refused);
    } finally {
      resized = () => undefined;
      if (gone.aborted) {
        channel.stream.destroy();
        channel.stream.resume();
      }
      claimed.claim?.release();
      over.resolve();
    }
  }

  async #claim(header: AttachHeader, end: () => Promise<void>): Promise<{ claim: StreamClaim | null }> {
    if (header.stream === undefined) return { claim: null };
    return { claim: await this.#with.streams.claim(header.id, header.stream, end) };
  }

  async #open(header: AttachHeader, gone: AbortSignal): Promise<{ tty: TtyExec; containerId: string }> {
    const { docker, settings, locks, clock, find } = this.#with;
    const { name } = find(header.id);
    await locks.idle(header.id, "attach");
    // The operation that was waited for may have been its deletion.
    find(header.id);
    const container = await docker.inspect(containerName(header.id));
    if (!container?.running || container.startedAt === null) throw notRunning(name);
    const { id, startedAt } = container;
    if (container.former) {
      throw new ConvocateError(
        "REFUSED",
        `session ${name} runs in a container of an earlier release: \`convocate restart --force ${name}\` makes it one that ` +
          `can be attached to`,
      );
    }
    return await inRunning(name, async () => {
      if (clock.now() - Date.parse(startedAt) < READY_MS) await waitForTmux(docker, settings, header.id, clock, gone);
      if (gone.aborted) throw new ConvocateError("CONNECTION_LOST", "the client left before the attach began");
      return { tty: await openTty(this.#with, id, header, gone), containerId: id };
    });
  }

  async #attach(
    channel: ServedChannel,
    header: AttachHeader,
    claim: StreamClaim | null,
    { tty, containerId }: { tty: TtyExec; containerId: string },
    gone: AbortSignal,
  ): Promise<void> {
    const { counts, clock, log, processes, touch } = this.#with;
    const leave = counts.enter(header.id);
    const pump = new Pump({ channel: channel.stream, tty: tty.stream, readOnly: header.mode === "ro", claim, clock });
    // Known in case Docker forgets the exec (it does when dockerd restarts) while its process lives on.
    let lastPid = 0;
    void tty.state().then(
      (state) => (lastPid = state?.pid ?? 0),
      () => undefined,
    );
    touch(header.id).catch((error: unknown) =>
      log.warn({ session: header.id, error: String(error) }, "access not noted"),
    );
    try {
      const reply: AttachReply = claim ? { ok: true, taken: claim.taken } : { ok: true };
      // Not waited for: output follows, and a reader that is behind is held back there.
      writeLine(channel.stream, reply).catch(() => undefined);
      pump.startInput();
      const end = await Promise.race<End>([pump.output().then(() => "process"), aborted(gone).then(() => "client")]);
      if (end === "process") {
        const exitCode = await this.#exitCode(tty);
        if (exitCode !== null) {
          channel.exit(exitCode);
          return;
        }
      }
      // From here on nothing is read from the client, so that what was counted is all that was taken.
      await pump.quiesce();
      if (end === "client") await clock.sleep(Math.max(0, pump.lastInputAt + LAST_INPUT_MS - clock.monotonicMs()));
      await endClient({ state: () => tty.state(), lastPid, containerId, processes, clock });
      // No exit-status: for a client that is still there this is a broken connection, and it comes back.
      channel.stream.destroy();
    } finally {
      pump.close();
      leave();
    }
  }

  /** Null when Docker cannot say, or says that the process goes on: then it is Docker that went. */
  async #exitCode(tty: TtyExec): Promise<number | null> {
    const { clock } = this.#with;
    for (let waited = 0; waited < EXIT_WAIT_MS; waited += EXIT_POLL_MS) {
      const state = await tty.state().catch(() => null);
      if (!state) return null;
      if (!state.running && state.exitCode !== null) return state.exitCode;
      await clock.sleep(EXIT_POLL_MS);
    }
    return null;
  }
}

/** Resizes one after another, and of those that come meanwhile only the last. */
class Resizer {
  readonly #tty: TtyExec;
  #now: WindowSize;
  #wanted: WindowSize;
  #busy = false;

  constructor(tty: TtyExec, size: WindowSize) {
    this.#tty = tty;
    this.#now = size;
    this.#wanted = size;
  }

  to(size: WindowSize): void {
    this.#wanted = size;
    if (!this.#busy) void this.#work();
  }

  async #work(): Promise<void> {
    this.#busy = true;
    while (this.#wanted.cols !== this.#now.cols || this.#wanted.rows !== this.#now.rows) {
      this.#now = this.#wanted;
      // A process that has ended needs no size.
      await this.#tty.resize(this.#now).catch(() => undefined);
    }
    this.#busy = false;
  }
}

function parseHeader(line: string): AttachHeader {
  const header = AttachHeader.safeParse(parseJson(line, "the attach header"));
  if (!header.success) throw new ConvocateError("BAD_PARAMS", `attach header: ${problems(header.error)}`);
  return header.data;
}

function refuse(channel: ServedChannel, thrown: unknown): void {
  const { code, message } = toConvocateError(thrown);
  const reply: AttachReply = { ok: false, code, error: message };
  writeLine(channel.stream, reply).catch(() => undefined);
  channel.exit(1);
  // ssh2 tells that a channel is closed only once all of it was read.
  channel.stream.resume();
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
