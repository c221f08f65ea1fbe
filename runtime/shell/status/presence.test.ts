import { describe, expect, test } from "@jest/globals";
import { AgentId, type AgentEvent } from "../../domain/index.js";
import { Presence, SILENT_AFTER_MS } from "./presence.js";

const A = AgentId.parse("agentaaa");

function clocked(): { presence: Presence; pass(ms: number): void; beat(): AgentEvent } {
  let atMs = 1_000_000;
  const presence = new Presence([], { now: () => new Date(atMs), monotonicMs: () => atMs });
  const data = {
    name: "one",
    release: "3.0.0",
    image: null,
    uptime_s: 1,
    sessions: { total: 0, running: 0, attached: 0 },
  };
  const beat = (): AgentEvent => ({
    seq: 0,
    stream: "s",
    type: "agent.heartbeat",
    agent_id: A,
    // An agent whose clock is a year behind is alive all the same.
    timestamp: "2025-01-01T00:00:00Z",
    data,
  });
  return { presence, pass: (ms) => void (atMs += ms), beat };
}

describe("presence", () => {
  test("a connected agent without a heartbeat for 90 s is silent once, and connected again with the next one", () => {
    const { presence, pass, beat } = clocked();
    expect(presence.opened(A).connection).toBe("connected");
    pass(SILENT_AFTER_MS - 1);
    expect(presence.expire()).toEqual([]);
    presence.heard(beat());
    pass(SILENT_AFTER_MS);
    expect(presence.expire().map((status) => status.connection)).toEqual(["silent"]);
    expect(presence.expire()).toEqual([]);
    expect(presence.heard(beat())?.connection).toBe("connected");
  });

  test("an agent stays connected while the newer of its two channels is open", () => {
    const { presence } = clocked();
    presence.opened(A);
    presence.opened(A);
    expect(presence.closed(A)).toBeNull();
    expect(presence.closed(A)?.connection).toBe("silent");
  });

  test("an agent that has not heard from this host is remembered so until it has, or starts anew", () => {
    const { presence, beat } = clocked();
    presence.opened(A);
    const say = (type: AgentEvent["type"]) => presence.heard({ ...beat(), type })?.peer_lost_since;
    expect(say("agent.peer-lost")).toBe(beat().timestamp);
    expect(say("agent.heartbeat")).toBe(beat().timestamp);
    expect(say("agent.peer-back")).toBeNull();
    expect(say("agent.peer-lost")).toBe(beat().timestamp);
    expect(say("agent.started")).toBeNull();
  });

  test("what a forgotten agent still says changes nothing", () => {
    const { presence, beat } = clocked();
    presence.opened(A);
    expect(presence.setRoster(new Set()).forgotten).toEqual([A]);
    expect(presence.heard(beat())).toBeNull();
    expect(presence.all()).toEqual([]);
  });
});
