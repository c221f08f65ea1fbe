import { TmuxTerminal } from "../support/tmux.js";
import { SIZES } from "../support/tui-model.js";
import { buildProgram, type Program } from "./program.js";

/** The TUI on the fake cluster, in a real terminal. */
export class DrivenTui implements Disposable {
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
  }

  static async build(): Promise<DrivenTui> {
    return new DrivenTui(await buildProgram("test/tui/fake-cluster-main.tsx"));
  }

  get path(): string {
    return this.#program.path;
  }

  /** What runs it, with these variables (`NAME=value`) in its environment. */
  argv(scenario: string, ...env: string[]): string[] {
    return ["env", ...env, `${process.cwd()}/node_modules/.bin/node`, this.#program.path, scenario];
  }

  /** A scenario of the fake cluster, once its first frame is there; at 80x24 unless told. */
  async start(
    scenario: string,
    size: { cols: number; rows: number } = SIZES[0],
    ...env: string[]
  ): Promise<TmuxTerminal> {
    const screen = await TmuxTerminal.shell(size);
    await screen.command(...this.argv(scenario, ...env));
    await screen.see("convocate  fake");
    return screen;
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]();
  }
}

/** The row of a session in this state, by its letter. */
export const ROW = (status: string, name: string): RegExp => new RegExp(`^. ${status} {2}${name} `, "m");
/** That row, chosen. */
export const SELECTED = (name: string): RegExp => new RegExp(`^› . {2}${name} `, "m");
