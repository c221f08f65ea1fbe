import type { SessionView } from "../../cluster.js";
import type { Operation } from "./state.js";

/** What a row says while an operation of this TUI is in flight. */
export const DOING: Record<Operation, string> = {
  restart: "starting",
  kill: "stopping",
  background: "detaching",
  delete: "deleting",
  override: "unlocking",
  edit: "changing",
  move: "moving",
};

/** What the status line says after. */
export const DONE: Record<Operation, string> = {
  restart: "started",
  kill: "stopped",
  background: "detached",
  delete: "deleted",
  override: "unlocked",
  edit: "changed",
  move: "moved",
};

/** As in `api on agent-1`, which is clear where two agents have a session of one name. */
export function nameOf(view: SessionView): string {
  return view.session.status.state === "orphan" ? view.session.name : `${view.session.name} on ${view.agentName}`;
}

export const NO_AGENTS_TEXT = [
  "There is no agent yet. Add one from the machine that has the checkout:",
  "",
  "  convocate-host init-agent --host ADDRESS",
  "",
  "It appears here by itself as soon as it answers.",
].join("\n");
