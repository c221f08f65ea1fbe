import { render, type Instance } from "ink";
import { loadavg } from "node:os";
import { ConvocateError, type SessionId } from "../../../domain/index.js";
import type { AttachOutcome, Cluster, Terminal } from "../../cluster.js";
import { colorMode, painter } from "../draw/paint.js";
import { initialState, type Effect } from "../model/state.js";
import { App, type Suspend } from "./app.js";
import { performOnCluster } from "./effects.js";
import { Store } from "./store.js";
import { InkInput, InkOutput, RESET_TERMINAL } from "./streams.js";

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
/** Frames a second at most: a key's frame is never more than 16 ms away. */
const MAX_FPS = 60;
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
  readonly #ended = Promise.withResolvers<undefined>();
  readonly #attach = new AbortController();
  readonly #undo: (() => void)[] = [];
  #ink: Instance | null = null;
  #suspend: Suspend | null = null;
  #attached = false;
  #closed = false;

  constructor(cluster: Cluster, options: TuiOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#terminal = options.terminal;
    this.#input = new InkInput(this.#terminal.input, () => this.#interrupt("the terminal has gone away"));
    this.#output = new InkOutput(this.#terminal);
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
    this.#listen();
    this.#clusterChanged();
    this.#input.open();
    this.#ink = render(
      <App
        store={this.#store}
        paint={painter(colorMode(this.#options.env ?? process.env))}
        onSuspend={this.#onSuspend}
      />,
      {
        stdin: this.#input,
        stdout: this.#output,
        stderr: this.#output,
        exitOnCtrlC: false,
        alternateScreen: true,
        interactive: true,
        incrementalRendering: true,
        maxFps: MAX_FPS,
      },
    );
    // Settles when a component threw (Ink unmounts by itself then); otherwise after our own unmount.
    this.#ink.waitUntilExit().then(
      () => this.#ended.resolve(undefined),
      (thrown: unknown) => this.#ended.reject(thrown),
    );
    void this.#cluster.refresh().then(() => this.#store.dispatch({ type: "loaded" }));
    await this.#ended.promise;
  }

  /** Everything back as it was found. Safe to call at any time, more than once, and from an exit handler. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const undo of this.#undo.reverse()) undo();
    this.#attach.abort(new ConvocateError("INTERRUPTED", "convocate is closing"));
    try {
      this.#ink?.unmount();
    } finally {
      this.#terminal.output.write(this.#attached ? RESET_TERMINAL : "");
      this.#input.close();
    }
  }

  #listen(): void {
    const interrupted = (name: NodeJS.Signals): void => this.#interrupt(`interrupted by ${name}`);
    for (const name of SIGNALS) {
      process.on(name, interrupted);
      this.#undo.push(() => void process.off(name, interrupted));
    }
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
    this.#store.dispatch({ type: "resize", size: this.#terminal.size() });
    // While attached Ink does not draw; it takes the size anew when it comes back.
    if (!this.#attached) this.#output.emit("resize");
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
  }

  /** Once a second, on the second, as a clock does. */
  #tick(): void {
    let timer: NodeJS.Timeout;
    const schedule = (): void => {
      timer = setTimeout(
        () => {
          this.#store.dispatch({ type: "tick", nowMs: this.#now(), load: loadavg() });
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

  readonly #onSuspend = (suspend: Suspend): void => {
    this.#suspend = suspend;
  };

  #perform(effect: Effect): void {
    switch (effect.type) {
      case "quit":
        this.#ended.resolve(undefined);
        return;
      case "attach":
        void this.#attachTo(effect.id, effect.name);
        return;
      case "operate":
      case "create":
        performOnCluster(this.#cluster, effect, (action) => {
          this.#store.dispatch(action);
          this.#clusterChanged();
        });
    }
  }

  /** Hands the whole terminal over and takes it back, to the same row. Never rejects. */
  async #attachTo(id: SessionId, name: string): Promise<void> {
    if (this.#attached || !this.#suspend) return;
    this.#attached = true;
    this.#input.release();
    let outcome: AttachOutcome;
    let resume: (() => Promise<void>) | null = null;
    try {
      resume = await this.#suspend();
      outcome = await this.#cluster.attach(id, this.#terminal, { signal: this.#attach.signal });
    } catch (thrown) {
      outcome = { kind: "failed", error: thrown instanceof Error ? thrown : new Error(String(thrown)) };
    }
    if (this.#closed) return;
    this.#attached = false;
    this.#clusterChanged();
    this.#store.dispatch({ type: "resize", size: this.#terminal.size() });
    this.#store.dispatch({ type: "attach-ended", name, outcome });
    // First the input, so that nothing typed meanwhile is echoed by a terminal that the attach left cooked.
    this.#input.open();
    await resume?.();
  }
}
