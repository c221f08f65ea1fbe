import { reduce } from "../model/reduce.js";
import type { Action, Effect, State } from "../model/state.js";

/**
 * The one place the TUI's state lives. Actions go through the reducer; effects go to whoever carries them out. Nothing is
 * thrown at those who dispatch (timers, key handlers): what goes wrong is handed to `crashed`, which ends the TUI.
 */
export class Store {
  #state: State;
  readonly #perform: (effect: Effect) => void;
  readonly #crashed: (thrown: unknown) => void;
  readonly #listeners = new Set<() => void>();

  constructor(state: State, perform: (effect: Effect) => void, crashed: (thrown: unknown) => void) {
    this.#state = state;
    this.#perform = perform;
    this.#crashed = crashed;
  }

  readonly state = (): State => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  dispatch(action: Action): void {
    try {
      const { state, effects } = reduce(this.#state, action);
      if (state !== this.#state) {
        this.#state = state;
        for (const listener of this.#listeners) listener();
      }
      for (const effect of effects) this.#perform(effect);
    } catch (thrown) {
      this.#crashed(thrown);
    }
  }
}
