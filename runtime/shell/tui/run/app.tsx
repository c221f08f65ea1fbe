import { useApp, useInput, usePaste } from "ink";
import { useEffect, useLayoutEffect, useMemo, useSyncExternalStore, type ReactNode } from "react";
import type { Line } from "../draw/line.js";
import { screenOf } from "../draw/screen.js";
import { keysOf } from "../model/keys.js";
import type { Store } from "./store.js";

/** Gives the terminal away until the returned call, which takes it back. */
export type Suspend = () => Promise<() => Promise<void>>;

/**
 * Ties the store to Ink: keys to actions, state to screen. Ink has the terminal's modes, the keyboard and the life of the
 * program; the cells are painted by the painter, which is why nothing is rendered here.
 */
export function App({
  store,
  show,
  onSuspend,
}: {
  store: Store;
  /** Puts a frame on the terminal. */
  show: (lines: readonly Line[]) => void;
  /** Called once with the way to hand the terminal over. */
  onSuspend: (suspend: Suspend) => void;
}): ReactNode {
  const state = useSyncExternalStore(store.subscribe, store.state);
  const lines = useMemo(() => screenOf(state), [state]);
  useLayoutEffect(() => show(lines), [show, lines]);
  const { suspendTerminal } = useApp();
  useEffect(() => {
    onSuspend(async () => {
      const suspension = await suspendTerminal();
      return () => suspension.resume();
    });
  }, [onSuspend, suspendTerminal]);
  useInput((input, inkKey) => {
    for (const key of keysOf(input, inkKey)) store.dispatch({ type: "key", key });
  });
  usePaste((text) => store.dispatch({ type: "paste", text }));
  return null;
}
