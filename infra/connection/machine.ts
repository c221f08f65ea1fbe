import { ConvocateError } from "../../runtime/domain/index.js";
import { abortError, collect, commandFailed, type Started } from "./collect.js";
import { inputAfter, sudoArgv, sudoInput } from "./sudo.js";
import type { Connection, HostAddress, RunOptions, RunResult } from "./types.js";

/** What a run on any host has in common; how a program is started there is the subclass's. */
export abstract class MachineConnection implements Connection {
  readonly host: HostAddress;
  /** True once a command has run through sudo: then its later failures are the command's own. */
  #sudoWorks = false;

  constructor(host: HostAddress) {
    this.host = host;
  }

  protected abstract isRoot(): boolean;
  protected abstract loginName(): string;
  protected abstract start(argv: readonly string[], signal?: AbortSignal): Promise<Started>;
  abstract [Symbol.asyncDispose](): Promise<void>;

  async run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    if (options.signal?.aborted) throw abortError(options.signal);
    const throughSudo = options.root !== false && !this.isRoot();
    const result = throughSudo
      ? await this.#runThroughSudo(argv, options)
      : await collect(await this.#begin(argv, options.signal), this.host.name, argv, options);
    if (throughSudo) await this.#tellSudoFailure(result, options);
    if (result.exitCode !== 0 && options.allowFailure !== true) throw commandFailed(this.host.name, argv, result);
    return result;
  }

  async #runThroughSudo(argv: readonly string[], options: RunOptions): Promise<RunResult> {
    const first = await sudoInput(this.host);
    const fed = first === undefined ? options : { ...options, input: inputAfter(first, options.input) };
    const started = await this.#begin(sudoArgv(this.host, argv), options.signal);
    return await collect(started, this.host.name, argv, fed);
  }

  /** Starts it; a wait that the signal ended is told as an interruption, whatever it was waiting for. */
  async #begin(argv: readonly string[], signal?: AbortSignal): Promise<Started> {
    try {
      return await this.start(argv, signal);
    } catch (thrown) {
      throw signal?.aborted ? abortError(signal) : thrown;
    }
  }

  /**
   * sudo's own failures end with 1 (or 127 where there is no sudo), as commands' do. So the first such failure on a
   * connection is followed by asking sudo for nothing but `true`: told apart by a code, not by sudo's words.
   */
  async #tellSudoFailure(result: RunResult, options: RunOptions): Promise<void> {
    if (this.#sudoWorks) return;
    if (result.exitCode === 1 || result.exitCode === 127) {
      const probe = { timeoutMs: 20_000, ...(options.signal && { signal: options.signal }) };
      const answer = await this.#runThroughSudo(["true"], probe);
      if (answer.exitCode !== 0) throw this.#sudoError(answer.exitCode);
    }
    this.#sudoWorks = true;
  }

  #sudoError(exitCode: number): ConvocateError {
    const user = this.loginName();
    const file = this.host.sudoPasswordFile;
    const say = (message: string): ConvocateError =>
      new ConvocateError("SUDO_NEEDS_PASSWORD", `${this.host.name}: ${message}`);
    if (exitCode === 127) return say("there is no sudo on the host: log in as root (user: root), or install sudo");
    if (file !== undefined)
      return say(`sudo does not take the password in ${file} for ${user}: put the right one there`);
    return say(
      `sudo wants a password for ${user}: put it in a file that only you can read, and name that in the inventory ` +
        `(sudoPasswordFile); or log in as root, or let ${user} use sudo without one ` +
        `(in /etc/sudoers.d/convocate: ${user} ALL=(ALL) NOPASSWD: ALL)`,
    );
  }
}
