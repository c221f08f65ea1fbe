import { expect, test } from "@jest/globals";
import { agentView, ago, heard } from "../../../test/tui/fixtures.js";
import { stateOf } from "./agents.js";

const down = { state: "connecting", since: 0 } as const;

test.each([
  ["up", {}],
  ["up", { heard: heard(1, "connected") }],
  ["up, silent", { heard: heard(1, "silent") }],
  ["up, hears nothing", { heard: { ...heard(1, "connected"), peer_lost_since: ago(100) } }],
  ["up, silent", { heard: { ...heard(1, "silent"), peer_lost_since: ago(100) } }],
  ["down", { connection: down }],
  ["down", { connection: down, heard: heard(1, "silent") }],
  ["down, but heard", { connection: down, heard: heard(1, "connected") }],
  ["down, hears nothing", { connection: down, heard: { ...heard(1, "connected"), peer_lost_since: ago(100) } }],
])("`convocate agents` tells which way is broken: %s", (state, view) => {
  expect(stateOf(agentView(1, view))).toBe(state);
});
