import { render, useApp, useInput, usePaste } from "ink";
import { useEffect, type ReactNode } from "react";
import { keysOf } from "../model/keys.js";
import type { Store } from "./store.js";
import type { InkInput, InkOutput } from "./streams.js";

/** Gives the terminal's modes back until the returned call, which takes them again. */
type Suspend = () => Promise<() => Promise<void>>;

export interface Keyboard {
  suspend: Suspend;
  /** Leaves the terminal's keyboard as it was. */
  close(): void;
  /** Rejects with what went wrong in Ink. */
  ended: Promise<unknown>;
}

/**
 * Ink, which has the keyboard and its modes; the screen and its cells are the painter's, which is why nothing is rendered. In
 * a module of its own, because loading Ink and React takes longer than a first list.
 */
export function openKeyboard(store: Store, streams: { stdin: InkInput; stdout: InkOutput }): Keyboard {
  const { promise: mounted, resolve: onMount } = Promise.withResolvers<Suspend>();
  const ink = render(<Keys store={store} onMount={onMount} />, {
    ...streams,
    stderr: streams.stdout,
    exitOnCtrlC: false,
    interactive: true,
  });
  void mounted.then(() => streams.stdin.begin());
  return {
    suspend: async () => await (await mounted)(),
    close: () => ink.unmount(),
    ended: ink.waitUntilExit(),
  };
}

function Keys({ store, onMount }: { store: Store; onMount: (suspend: Suspend) => void }): ReactNode {
  const { suspendTerminal } = useApp();
  useEffect(() => {
    onMount(async () => {
      const suspension = await suspendTerminal();
      return () => suspension.resume();
    });
  }, [onMount, suspendTerminal]);
  useInput((input, inkKey) => {
    for (const key of keysOf(input, inkKey)) store.dispatch({ type: "key", key });
  });
  usePaste((text) => store.dispatch({ type: "paste", text }));
  return null;
}
