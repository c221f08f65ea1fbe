import { describe, expect, test } from "@jest/globals";
import type { EngineEvent } from "@pulumi/pulumi/automation/events.js";
import { ConvocateError } from "../../runtime/domain/index.js";
import { combined, EventReader, type RolloutEvent } from "./events.js";
import { PlanGatherer } from "./plan.js";

const URN = "urn:pulumi:dev::convocate::convocate:index:AgentHost$convocate:index:Files::agent-1/config";
type Step = NonNullable<EngineEvent["resourcePreEvent"]>["metadata"];
const state = (extra: object = {}): NonNullable<Step["new"]> => ({
  type: "convocate:index:Files",
  urn: URN,
  custom: true,
  id: "x",
  parent: "",
  inputs: {},
  outputs: {},
  provider: "",
  ...extra,
});
const step = (op: string, extra: object = {}): Step =>
  ({ op, urn: URN, type: "convocate:index:Files", provider: "", new: state(), ...extra }) as unknown as Step;
const event = (extra: object): EngineEvent => ({ sequence: 0, timestamp: 0, ...extra });
const said = (message: string, extra: object = {}): EngineEvent =>
  event({ diagnosticEvent: { urn: URN, message, color: "never", severity: "error", ...extra } });
const resource = { urn: URN, host: "agent-1", what: "config", kind: "Files" };

describe("reading the engine's events", () => {
  test("a step is told with its host, and with what differs by name", () => {
    const detailedDiff = {
      'files["/etc/b"].mode': { diffKind: "update", inputDiff: false },
      'files["/etc/a"].content': { diffKind: "add", inputDiff: false },
    };
    const reader = new EventReader();
    expect(reader.read(event({ resourcePreEvent: { metadata: step("update") } }))).toEqual([
      { type: "started", resource, operation: "update" },
    ]);
    expect(reader.read(event({ resOutputsEvent: { metadata: step("update", { detailedDiff }) } }))).toEqual([
      {
        type: "finished",
        resource,
        operation: "update",
        differences: [
          { path: 'files["/etc/a"].content', kind: "add" },
          { path: 'files["/etc/b"].mode', kind: "change" },
        ],
      },
    ]);
  });

  test("what an agent needs on the shell host is told as the shell host's", () => {
    const metadata = step("create", { new: state({ inputs: { host: "shell" } }) });
    const [told] = new EventReader().read(event({ resourcePreEvent: { metadata } }));
    expect(told).toMatchObject({ resource: { host: "shell", what: "config" } });
  });

  test("components, providers and the halves of a replacement are not told", () => {
    const reader = new EventReader();
    const silent = [
      step("create", { new: state({ custom: false }) }),
      step("update", { type: "pulumi:providers:convocate" }),
      step("create-replacement"),
      step("delete-replaced"),
    ];
    for (const metadata of silent) expect(reader.read(event({ resourcePreEvent: { metadata } }))).toEqual([]);
  });

  test("errors keep the code that our provider put first, whatever the engine puts before it", () => {
    const reader = new EventReader();
    const [told] = reader.read(said("Preview failed: TIMEOUT: admin@agent-1 (10.0.0.1:22): no answer within 10 s\n"));
    expect(told).toMatchObject({
      type: "error",
      error: { code: "TIMEOUT", message: "admin@agent-1 (10.0.0.1:22): no answer within 10 s" },
    });
    expect(reader.read(said("preview failed\n", { urn: undefined }))).toEqual([]);
    reader.read(event({ resourcePreEvent: { metadata: step("create") } }));
    expect(reader.read(said("some words NOT_A_CODE: x"))).toMatchObject([
      { resource, error: { code: "ROLLOUT_FAILED", message: "agent-1, config: some words NOT_A_CODE: x" } },
    ]);
  });

  test("a program that threw is told by its error's line, without the stack", () => {
    const message =
      "Running program '/x/main.js' failed with an unhandled exception:\n<{%reset%}>  ConvocateError: no inventory at y\n      at f (/x/main.js:1:1) {\n    code: 'BAD_INVENTORY'\n  }";
    expect(new EventReader().read(said(message.replace("<{%reset%}>", "")))).toMatchObject([
      { error: { code: "BAD_INVENTORY", message: "no inventory at y" } },
    ]);
  });

  test("progress is told beside its resource, warnings are kept, chatter is not", () => {
    const reader = new EventReader();
    reader.read(event({ resourcePreEvent: { metadata: step("create") } }));
    expect(reader.read(said("<{%fg 1%}>sending 3 of 9 MB<{%reset%}>", { severity: "info", ephemeral: true }))).toEqual([
      { type: "progress", resource, message: "sending 3 of 9 MB" },
    ]);
    expect(reader.read(said("old cgroups", { severity: "warning" }))).toMatchObject([
      { type: "warning", message: "old cgroups" },
    ]);
    expect(reader.read(said("chatter", { severity: "info" }))).toEqual([]);
  });
});

test("several errors become one: each message once, with the code of the first that says why", () => {
  const errors = [
    new ConvocateError("ROLLOUT_FAILED", "agent-1: it broke"),
    new ConvocateError("UNREACHABLE", "agent-2: gone"),
    new ConvocateError("UNREACHABLE", "agent-2: gone"),
  ];
  expect(combined(errors)).toMatchObject({ code: "UNREACHABLE", message: "agent-2: gone\nagent-1: it broke" });
  expect(combined([])).toBeUndefined();
});

test("a plan holds what would change, by host, and counts the rest; reading a host is no change", () => {
  const gatherer = new PlanGatherer();
  const finished = (host: string, operation: "none" | "read" | "update"): RolloutEvent => ({
    type: "finished",
    resource: { ...resource, urn: host, host },
    operation,
    differences: operation === "update" ? [{ path: "content", kind: "change" }] : [],
  });
  for (const told of [
    finished("agent-10", "update"),
    finished("agent-2", "read"),
    finished("agent-2", "update"),
    finished("a", "none"),
  ])
    gatherer.take(told);
  const plan = gatherer.plan();
  expect(plan.unchanged).toBe(1);
  expect(plan.changes.map((change) => change.resource.host)).toEqual(["agent-2", "agent-10"]);
});
