import { spawn, type ChildProcess } from "node:child_process";
import type { TestCluster } from "./cluster.js";
import { eventually } from "./eventually.js";

/** What `convocate attach` writes when it has come back: the line that says `reconnecting…` is taken away. */
const CAME_BACK = /\x1b7\x1b\[\d+;1H\x1b\[0m\x1b\[K\x1b8/g;

/** `convocate attach` in a terminal of the shell host, with all that it writes, so that no reconnect goes unseen. */
export class WatchedAttach implements Disposable {
  readonly #child: ChildProcess;
  #output = "";
  #ended = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
    child.once("close", () => (this.#ended = true));
  }

  static async open(cluster: TestCluster, session: string): Promise<WatchedAttach> {
    // A terminal that ssh makes for a pipe has no size.
    const run = `stty cols 100 rows 30; TERM=xterm-256color exec /usr/local/bin/convocate attach ${session}`;
    const argv = [...cluster.shellTty(), "sh", "-c", `'${run}'`];
    const attach = new WatchedAttach(spawn("env", argv, { stdio: "pipe" }));
    await eventually(`the first screen of ${session}`, () => attach.#output.includes("detaches"), {
      timeoutMs: 60_000,
    });
    return attach;
  }

  /** How often it lost its agent and came back. */
  get reconnects(): number {
    return this.#output.match(CAME_BACK)?.length ?? 0;
  }

  get ended(): boolean {
    return this.#ended;
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}
