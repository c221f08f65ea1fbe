import { once } from "node:events";
import { loadavg } from "node:os";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { ConvocateError, type SessionId } from "../../../domain/index.js";
import type { AttachOutcome, Cluster, Terminal } from "../../cluster.js";
import { spanAt } from "../draw/line.js";
import { colorMode } from "../draw/paint.js";
import { screenOf } from "../draw/screen.js";
import { MOUSE_OFF, MOUSE_ON, type Mouse } from "../model/mouse.js";
import { initialState, type Effect } from "../model/state.js";
import { Capacities } from "./capacities.js";
import { performOnCluster } from "./effects.js";
import { Guard } from "./guard.js";
import type { Keyboard } from "./keyboard.js";
import { Painter } from "./painter.js";
import { Store } from "./store.js";
import { InkInput, InkOutput, RESET_TERMINAL, SCREEN_OFF, SCREEN_ON } from "./streams.js";

export interface TuiOptions {
  terminal: Terminal;
  /** Shown in the title bar. */
  clusterName: string;
  /** Milliseconds since the epoch; default: the system's clock. */
  now?: () => number;
  /** Ends the TUI, with the terminal restored. */
  signal?: AbortSignal;
  /** For NO_COLOR; default: the process's. */
  env?: NodeJS.ProcessEnv;
}

/** Changes of the cluster that come closer together than this are drawn once. */
const CLUSTER_PAUSE_MS = 30;
/** So long the first list may take before Ink is loaded anyway; a key does not wait for it either. */
const LIST_FIRST_MS = 1000;
/** How long we wait to be stopped: where nobody could continue us (a login shell's only program) the kernel does not. */
const STOP_MS = 200;
/** Signals that end us; each leaves the terminal as it was. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs the TUI until its user quits. The terminal is restored on every way out: quit, an abort, a signal, a terminal that
 * goes away, an exception in drawing, an exception anywhere.
 *
 * @throws ConvocateError INTERRUPTED when `signal` or a signal of the system ended it; what drawing threw, when it did.
 */
export async function runTui(cluster: Cluster, options: TuiOptions): Promise<void> {
  using tui = new Tui(cluster, options);
  await tui.run();
}

class Tui implements Disposable {
  readonly #cluster: Cluster;
  readonly #options: TuiOptions;
  readonly #terminal: Terminal;
  readonly #input: InkInput;
  readonly #output: InkOutput;
  readonly #store: Store;
  readonly #painter: Painter;
  readonly #guard: Guard;
  readonly #capacities: Capacities;
  readonly #ended = Promise.withResolvers<undefined>();
  readonly #attach = new AbortController();
  readonly #undo: (() => void)[] = [];
  /** Ours once Ink is loaded; rejects when the TUI ended before. */
  readonly #keyboard = Promise.withResolvers<Keyboard>();
  #closeKeyboard: () => void = () => undefined;
  #painting = false;
  /** Whether the terminal is somebody else's now: a session's, or the shell's while we are stopped. */
  #away = false;
  #closed = false;

  constructor(cluster: Cluster, options: TuiOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#terminal = options.terminal;
    this.#guard = new Guard(this.#terminal.input, this.#terminal.output);
    this.#input = new InkInput(this.#terminal.input, {
      onGone: () => this.#interrupt("the terminal has gone away"),
      onMouse: (mouse) => this.#onMouse(mouse),
    });
    this.#output = new InkOutput(this.#terminal);
    this.#painter = new Painter(colorMode(options.env ?? process.env));
    this.#capacities = new Capacities(cluster, (agent, capacity) =>
      this.#store.dispatch({ type: "capacity", agent, capacity }),
    );
    this.#store = new Store(
      initialState({
        clusterName: options.clusterName,
        size: this.#terminal.size(),
        nowMs: this.#now(),
        load: loadavg(),
      }),
      (effect) => this.#perform(effect),
      (thrown) => this.#ended.reject(thrown),
    );
  }

  async run(): Promise<void> {
    // A rejection that comes before anybody waits for it must not end the process with the terminal raw.
    this.#ended.promise.catch(() => undefined);
    this.#keyboard.promise.catch(() => undefined);
    this.#listen();
    this.#input.open();
    this.#guard.watch();
    this.#terminal.output.write(SCREEN_ON + MOUSE_ON);
    this.#undo.push(this.#store.subscribe(() => this.#paintSoon()));
    this.#clusterChanged();
    this.#paintSoon();
    const loaded = this.#cluster.refresh().then(() => this.#store.dispatch({ type: "loaded" }));
    void this.#openKeyboard(loaded).catch((thrown: unknown) => this.#ended.reject(thrown));
    await this.#ended.promise;
  }

  /** After the first list, or when somebody types: Ink takes as long to load as all before it. Keys wait in its input. */
  async #openKeyboard(listed: Promise<void>): Promise<void> {
    const over = new AbortController();
    const { signal } = over;
    const soon = sleep(LIST_FIRST_MS, undefined, { signal });
    const typed = once(this.#terminal.input, "data", { signal });
    await Promise.race([listed, soon.catch(() => undefined), typed.catch(() => undefined)]);
    over.abort();
    // What was listed is drawn first.
    await setImmediate();
    const { openKeyboard } = await import("./keyboard.js");
    if (this.#closed) return;
    const keyboard = openKeyboard(this.#store, { stdin: this.#input, stdout: this.#output });
    this.#closeKeyboard = () => keyboard.close();
    this.#keyboard.resolve(keyboard);
    await keyboard.ended;
    this.#ended.resolve(undefined);
  }

  /** Everything back as it was found. Safe to call at any time, more than once, and from an exit handler. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#keyboard.reject(new ConvocateError("INTERRUPTED", "convocate is closing"));
    for (const undo of this.#undo.reverse()) undo();
    this.#attach.abort(new ConvocateError("INTERRUPTED", "convocate is closing"));
    this.#capacities[Symbol.dispose]();
    try {
      this.#closeKeyboard();
    } finally {
      this.#terminal.output.write(this.#away ? RESET_TERMINAL : MOUSE_OFF + SCREEN_OFF);
      this.#input.close();
      this.#guard[Symbol.dispose]();
    }
  }

  #listen(): void {
    const interrupted = (name: NodeJS.Signals): void => this.#interrupt(`interrupted by ${name}`);
    for (const name of SIGNALS) {
      process.on(name, interrupted);
      this.#undo.push(() => void process.off(name, interrupted));
    }
    const stop = (): void => void this.#stop();
    process.on("SIGTSTP", stop);
    this.#undo.push(() => void process.off("SIGTSTP", stop));
    // Crashes elsewhere in the program, and a `process.exit` in the middle.
    const restore = (): void => this[Symbol.dispose]();
    for (const event of ["uncaughtExceptionMonitor", "exit"] as const) {
      process.on(event, restore);
      this.#undo.push(() => void process.off(event, restore));
    }
    const onOutputError = (): void => this.#interrupt("the terminal has gone away");
    this.#terminal.output.on("error", onOutputError);
    const { signal } = this.#options;
    const onAbort = (): void => this.#interrupt("interrupted");
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort);
    this.#undo.push(() => signal?.removeEventListener("abort", onAbort));
    this.#undo.push(this.#terminal.onResize(() => this.#resized()));
    this.#undo.push(this.#cluster.subscribe(() => this.#scheduleCluster()));
    this.#tick();
  }

  #interrupt(why: string): void {
    this.#ended.reject(new ConvocateError("INTERRUPTED", why));
  }

  #resized(): void {
    this.#painter.forget();
    this.#store.dispatch({ type: "resize", size: this.#terminal.size() });
  }

  /** Once, for all that changes at a time. */
  #paintSoon(): void {
    if (this.#painting) return;
    this.#painting = true;
    queueMicrotask(() => {
      this.#painting = false;
      try {
        this.#paint();
      } catch (thrown) {
        this.#ended.reject(thrown);
      }
    });
  }

  /** While the terminal is somebody else's nothing is written; coming back, everything is. */
  #paint(): void {
    if (this.#away || this.#closed) return;
    const changes = this.#painter.paint(screenOf(this.#store.state()));
    if (changes !== "") this.#terminal.output.write(changes);
  }

  /** A click on a drawn key or button is that key; everything else is the reducer's. */
  #onMouse(mouse: Mouse): void {
    const key = mouse.kind === "click" ? spanAt(screenOf(this.#store.state())[mouse.y] ?? [], mouse.x)?.[2] : undefined;
    this.#store.dispatch(key ? { type: "key", key } : { type: "mouse", mouse });
  }

  #clusterTimer: NodeJS.Timeout | null = null;

  #scheduleCluster(): void {
    this.#clusterTimer ??= setTimeout(() => {
      this.#clusterTimer = null;
      if (!this.#closed) this.#clusterChanged();
    }, CLUSTER_PAUSE_MS);
  }

  #clusterChanged(): void {
    this.#store.dispatch({ type: "cluster", sessions: this.#cluster.sessions(), agents: this.#cluster.agents() });
    this.#capacities.look(this.#now());
  }

  /** Once a second, on the second, as a clock does. */
  #tick(): void {
    let timer: NodeJS.Timeout;
    const schedule = (): void => {
      timer = setTimeout(
        () => {
          if (!this.#away) {
            this.#store.dispatch({ type: "tick", nowMs: this.#now(), load: loadavg() });
            this.#capacities.look(this.#now());
          }
          schedule();
        },
        1000 - (this.#now() % 1000),
      );
    };
    schedule();
    this.#undo.push(() => clearTimeout(timer));
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case "quit":
        this.#ended.resolve(undefined);
        return;
      case "stop":
        void this.#stop();
        return;
      case "attach":
        void this.#attachTo(effect.id, effect.name);
        return;
      default:
        performOnCluster(this.#cluster, effect, (action) => {
          if (this.#closed) return;
          this.#store.dispatch(action);
          this.#clusterChanged();
          if (effect.type === "operate" || effect.type === "request") this.#capacities.soon();
        });
    }
  }

  /** Hands the whole terminal over and takes it back, to the same row. Never rejects. */
  async #attachTo(id: SessionId, name: string): Promise<void> {
    let outcome: AttachOutcome | null;
    try {
      outcome = await this.#lend(() => this.#cluster.attach(id, this.#terminal, { signal: this.#attach.signal }));
    } catch (thrown) {
      outcome = { kind: "failed", error: thrown instanceof Error ? thrown : new Error(String(thrown)) };
    }
    if (outcome && !this.#closed) this.#store.dispatch({ type: "attach-ended", name, outcome });
  }

  /** Stops this program as Ctrl-Z stops any other, with the terminal as the shell wants it, and goes on when continued. */
  async #stop(): Promise<void> {
    const stopped = async (): Promise<void> => {
      const handlers = process.listeners("SIGTSTP");
      process.removeAllListeners("SIGTSTP");
      this.#input.setCooked();
      process.kill(process.pid, "SIGTSTP");
      await sleep(STOP_MS);
      for (const handler of handlers) process.on("SIGTSTP", handler);
    };
    await this.#lend(stopped).catch((thrown: unknown) => this.#ended.reject(thrown));
  }

  /** Gives the terminal away for as long as `use` runs. Null, and nothing happens, when it is away already. */
  async #lend<T>(use: () => Promise<T>): Promise<T | null> {
    if (this.#away) return null;
    this.#away = true;
    this.#input.release();
    this.#terminal.output.write(MOUSE_OFF);
    let resume: (() => Promise<void>) | null = null;
    try {
      const keyboard = await this.#keyboard.promise;
      resume = await keyboard.suspend();
      this.#terminal.output.write(SCREEN_OFF);
      return await use();
    } finally {
      if (!this.#closed) await this.#takeBack(resume);
    }
  }

  async #takeBack(resume: (() => Promise<void>) | null): Promise<void> {
    // First the input, so that nothing typed meanwhile is echoed by a terminal that was left cooked.
    this.#input.open();
    this.#terminal.output.write(SCREEN_ON);
    await resume?.();
    this.#away = false;
    this.#painter.forget();
    this.#terminal.output.write(MOUSE_ON);
    this.#store.dispatch({ type: "resize", size: this.#terminal.size() });
    this.#clusterChanged();
  }
}
