import { chown, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { SessionId, type SessionStatus } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import type { Clock } from "../clock.js";
import type { DockerEngine } from "../containers/engine.js";
import { containerName } from "../containers/spec.js";
import type { EventSink } from "../events/sink.js";
import { Ear } from "./ear.js";
import { UNHEARD, nextMood, sameMood, type Mood } from "./mood.js";
import { Rate } from "./rate.js";
import { parseTold, type Told } from "./told.js";

/** Name of the socket in a session's folder; image/bin/convocate-tell knows it too. */
const SOCKET = "hooks.sock";
/** What the image keeps of what it told (image/bin/convocate-tell), for an agent that was away. */
const KEPT = "/tmp/.convocate/told";
const KEPT_BYTES = 32 * 1024;
const ASK_MS = 5_000;
const ASK_TRIES = 5;
/**
 * How many changes of one session's mood are events: more than a CLI makes. What a session does is its own affair, but the
 * spool of events is everybody's.
 */
const CHANGES = { burst: 20, perSecond: 1 };
/** A CLI that has not shown itself this long after the container's start is not said to be starting any more. */
const STARTING_MS = 30_000;

type Running = Extract<SessionStatus, { state: "running" }>;

export interface ActivityOptions {
  /** `agentPaths.running`. */
  folder: string;
  owner: { uid: number; gid: number };
  docker: Pick<DockerEngine, "run">;
  events: EventSink;
  clock: Clock;
  log: Log;
}

/** Whether each session's CLI works or waits for its user (SPEC 6.6). */
export class Activity implements AsyncDisposable {
  readonly #with: ActivityOptions;
  readonly #ears = new Map<SessionId, Ear>();
  readonly #moods = new Map<SessionId, Mood>();
  /** Opening and closing of one session's socket, in order. */
  readonly #turns = new Map<SessionId, Promise<unknown>>();
  /** How often each session's mood was told, and the mood that was told last. */
  readonly #paces = new Map<SessionId, { rate: Rate; last: Mood; late: boolean }>();
  readonly #over = new AbortController();
  /** How many lines were heard, of all sessions. */
  #lines = 0;

  constructor(options: ActivityOptions) {
    this.#with = options;
  }

  /**
   * Listens again to the sessions that an earlier agent listened to, so that none is unheard while Docker is away; folders of
   * sessions that are gone are removed.
   */
  async reopen(known: (id: SessionId) => boolean): Promise<void> {
    const { folder, log } = this.#with;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(folder)) {
      const id = SessionId.safeParse(name);
      if (!id.success) continue;
      try {
        if (known(id.data)) await this.#inTurn(id.data, () => this.#listen(id.data));
        else await this.close(id.data);
      } catch (error) {
        log.warn({ session: id.data, error: String(error) }, "a session's hooks cannot be listened to");
      }
    }
  }

  /** Makes the folder that a container about to start gets at /run/convocate, and listens in it; answers with its path. */
  async open(id: SessionId): Promise<string> {
    this.#moods.delete(id);
    await this.#inTurn(id, () => this.#listen(id));
    return this.#path(id);
  }

  /** Ends what is there for a session that is deleted. */
  async close(id: SessionId): Promise<void> {
    this.#moods.delete(id);
    this.#paces.delete(id);
    await this.#inTurn(id, async () => {
      await this.#ears.get(id)?.[Symbol.asyncDispose]();
      this.#ears.delete(id);
      await rm(this.#path(id), { recursive: true, force: true });
    });
  }

  /** What is known of a session whose container runs since `startedAt`. */
  of(id: SessionId, startedAt: string): Pick<Running, "activity" | "starting"> {
    const { clock } = this.#with;
    const mood = this.#moods.get(id) ?? UNHEARD;
    const startedMs = Date.parse(startedAt);
    if (mood.kind === "unheard") {
      const runsMs = clock.now() - startedMs;
      // Less than none: the clock was set back since.
      return this.#ears.has(id) && runsMs >= 0 && runsMs < STARTING_MS ? { starting: true } : {};
    }
    if (mood.kind === "idle") return {};
    const since = new Date(Math.max(mood.sinceMs, startedMs)).toISOString();
    const why = mood.kind === "waiting" ? { why: mood.why } : {};
    return { activity: { kind: mood.kind, ...why, since } };
  }

  /** Reads what a running session told while nobody listened. Throws what Docker throws. */
  async catchUp(id: SessionId): Promise<void> {
    const { docker, owner } = this.#with;
    const request = {
      argv: ["tail", "-c", String(KEPT_BYTES), KEPT],
      user: `${owner.uid}:${owner.gid}`,
      env: {},
    };
    for (let tries = 0; tries < ASK_TRIES && this.#ears.has(id); tries++) {
      const before = this.#lines;
      const { exitCode, output } = await docker.run(containerName(id), request, ASK_MS);
      // An image that keeps nothing.
      if (exitCode !== 0) return;
      // What came meanwhile may not be in what was read, so that it is read again.
      if (this.#lines !== before) continue;
      this.#set(id, this.#replay(output));
      return;
    }
  }

  #replay(lines: string): Mood {
    const now = this.#with.clock.now();
    let mood = UNHEARD;
    for (const line of lines.split("\n")) {
      // The first one may be cut.
      const told = parseTold(line);
      if (told) mood = nextMood(mood, told, Math.min(told.at_ms, now));
    }
    return mood;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    const open = [...this.#ears.values()];
    this.#ears.clear();
    await Promise.allSettled(open.map((ear) => ear[Symbol.asyncDispose]()));
  }

  #path(id: SessionId): string {
    return join(this.#with.folder, SessionId.parse(id));
  }

  async #listen(id: SessionId): Promise<void> {
    if (this.#ears.has(id)) return;
    const { owner, clock, log } = this.#with;
    const path = this.#path(id);
    await mkdir(path, { recursive: true, mode: 0o700 });
    await chown(path, owner.uid, owner.gid);
    const ear = await Ear.open({
      path: join(path, SOCKET),
      owner,
      clock,
      log: {
        info: (fields, message) => log.info({ session: id, ...fields }, message),
        warn: (fields, message) => log.warn({ session: id, ...fields }, message),
        error: (fields, message) => log.error({ session: id, ...fields }, message),
      },
      heard: (told) => this.#heard(id, told),
      missed: () => {
        this.catchUp(id).catch((error: unknown) =>
          log.warn({ session: id, error: String(error) }, "hooks were missed"),
        );
      },
    });
    this.#ears.set(id, ear);
  }

  #heard(id: SessionId, told: Told): void {
    this.#lines += 1;
    this.#set(id, nextMood(this.#moods.get(id) ?? UNHEARD, told, this.#with.clock.now()));
  }

  #set(id: SessionId, mood: Mood): void {
    const before = this.#moods.get(id) ?? UNHEARD;
    this.#moods.set(id, mood);
    if (!sameMood(before, mood)) this.#tell(id, mood);
  }

  /** At once, or, of a session whose mood changes all the time, what it is a second later. */
  #tell(id: SessionId, mood: Mood): void {
    const { clock, events } = this.#with;
    const pace = this.#paces.get(id) ?? { rate: new Rate(clock, CHANGES), last: UNHEARD, late: false };
    this.#paces.set(id, pace);
    if (pace.late) return;
    if (!pace.rate.take()) {
      pace.late = true;
      clock.sleep(1000 / CHANGES.perSecond, this.#over.signal).then(
        () => {
          pace.late = false;
          const now = this.#moods.get(id);
          if (now && this.#paces.get(id) === pace && !sameMood(now, pace.last)) this.#tell(id, now);
        },
        () => undefined,
      );
      return;
    }
    pace.last = mood;
    if (mood.kind === "working") events.emit("session.working", id, { since: new Date(mood.sinceMs).toISOString() });
    if (mood.kind === "waiting") {
      events.emit("session.waiting", id, { why: mood.why, since: new Date(mood.sinceMs).toISOString() });
    }
  }

  async #inTurn(id: SessionId, work: () => Promise<void>): Promise<void> {
    const mine = (this.#turns.get(id) ?? Promise.resolve()).catch(() => undefined).then(work);
    this.#turns.set(id, mine);
    try {
      await mine;
    } finally {
      if (this.#turns.get(id) === mine) this.#turns.delete(id);
    }
  }
}
