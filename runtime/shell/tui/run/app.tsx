import { useApp, useInput, usePaste } from "ink";
import { useEffect, useSyncExternalStore, type ReactNode } from "react";
import type { Paint } from "../draw/paint.js";
import { Screen } from "../draw/screen.js";
import { keysOf } from "../model/keys.js";
import type { Store } from "./store.js";

/** Gives the terminal away until the returned call, which takes it back and draws the screen again. */
export type Suspend = () => Promise<() => Promise<void>>;

/** Ties the store to Ink: state to screen, keys to actions. */
export function App({
  store,
  paint,
  onSuspend,
}: {
  store: Store;
  paint: Paint;
  /** Called once with the way to hand the terminal over. */
  onSuspend: (suspend: Suspend) => void;
}): ReactNode {
  const state = useSyncExternalStore(store.subscribe, store.state);
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
  return <Screen state={state} paint={paint} />;
}
