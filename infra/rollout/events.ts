import type { EngineEvent, StepEventMetadata } from "@pulumi/pulumi/automation/events.js";
import { byText, ConvocateError, isErrorCode, type ErrorCode } from "../../runtime/domain/index.js";

/** A resource as people know it: `agent-1` and `docker` of `agent-1/docker`. */
export interface ResourceName {
  urn: string;
  /** Host of the inventory; the cluster's name where a resource is of no host. */
  host: string;
  what: string;
  /** `Files`, `Unit`, …: the last part of its type. */
  kind: string;
}

export type Operation = "create" | "update" | "replace" | "delete" | "read" | "none";

/** One thing that differs from what it should be, by the property's path: `files["/etc/x"].mode`. */
export interface Difference {
  path: string;
  kind: "add" | "change" | "remove";
}

/** What a rollout or a plan tells while it goes on. */
export type RolloutEvent =
  | { type: "started"; resource: ResourceName; operation: Operation }
  | { type: "finished"; resource: ResourceName; operation: Operation; differences: Difference[] }
  | { type: "failed"; resource: ResourceName; operation: Operation }
  /** Where it is within a resource; passes. */
  | { type: "progress"; resource: ResourceName; message: string }
  | { type: "warning"; resource?: ResourceName; message: string }
  | { type: "error"; resource?: ResourceName; error: ConvocateError };

/** Translates the engine's events; remembers which resources are whose, for events that only give a URN. */
export class EventReader {
  readonly #known = new Map<string, ResourceName>();

  read(event: EngineEvent): RolloutEvent[] {
    if (event.resourcePreEvent) return this.#step("started", event.resourcePreEvent.metadata);
    if (event.resOutputsEvent) return this.#step("finished", event.resOutputsEvent.metadata);
    if (event.resOpFailedEvent) return this.#step("failed", event.resOpFailedEvent.metadata);
    if (event.diagnosticEvent) {
      const { urn, message, severity, ephemeral } = event.diagnosticEvent;
      return this.#said(urn, message, severity, ephemeral === true);
    }
    return [];
  }

  #step(type: "started" | "finished" | "failed", step: StepEventMetadata): RolloutEvent[] {
    const operation = operationOf(step);
    // Components and providers are the engine's bookkeeping: no host has them.
    if (operation === undefined || !(step.new?.custom ?? step.old?.custom) || step.type.startsWith("pulumi:"))
      return [];
    const resource = this.#name(step);
    if (type !== "finished") return [{ type, resource, operation }];
    return [{ type, resource, operation, differences: operation === "read" ? [] : differencesOf(step) }];
  }

  #said(urn: string | undefined, raw: string, severity: string, ephemeral: boolean): RolloutEvent[] {
    const message = raw.replaceAll(/<\{%[^%]*%\}>/g, "").trim();
    const resource = urn === undefined ? undefined : this.#known.get(urn);
    if (message === "") return [];
    if (severity === "error") {
      // The engine's closing line says no more than that something failed, which we know.
      if (/^(preview|update|refresh|destroy) failed$/.test(message)) return [];
      return [{ type: "error", ...(resource && { resource }), error: errorOf(message, resource) }];
    }
    if (ephemeral && resource) return [{ type: "progress", resource, message }];
    return severity === "warning" ? [{ type: "warning", ...(resource && { resource }), message }] : [];
  }

  #name(step: StepEventMetadata): ResourceName {
    const known = this.#known.get(step.urn);
    if (known) return known;
    const name = step.urn.split("::").slice(3).join("::");
    const slash = name.indexOf("/");
    const inputs = (step.new ?? step.old)?.inputs;
    const host: unknown = inputs?.["host"];
    const resource = {
      urn: step.urn,
      host: typeof host === "string" ? host : slash < 0 ? name : name.slice(0, slash),
      what: slash < 0 ? name : name.slice(slash + 1),
      kind: step.type.split(":").at(-1) ?? step.type,
    };
    this.#known.set(step.urn, resource);
    return resource;
  }
}

function operationOf(step: StepEventMetadata): Operation | undefined {
  switch (step.op) {
    case "same":
      return "none";
    case "refresh":
    case "read":
      return "read";
    case "create":
    case "update":
    case "delete":
    case "replace":
      return step.op;
    default:
      // The halves of a replacement, and what only concerns the state.
      return undefined;
  }
}

function differencesOf(step: StepEventMetadata): Difference[] {
  const detailed = Object.entries(step.detailedDiff ?? {}).map(([path, { diffKind }]): Difference => {
    const kind = diffKind.startsWith("add") ? "add" : diffKind.startsWith("delete") ? "remove" : "change";
    return { path, kind };
  });
  if (detailed.length > 0) return detailed.sort((a, b) => byText(a.path, b.path));
  return (step.diffs ?? []).map((path) => ({ path, kind: "change" }));
}

/** Our provider's errors begin with their code, which the engine puts words of its own before. */
function errorOf(message: string, resource: ResourceName | undefined): ConvocateError {
  // The program threw: its error's own line, without the stack that Node prints around it.
  const thrown = /unhandled exception:\s+\w*Error: ([^\n]+)/.exec(message)?.[1];
  if (thrown !== undefined) {
    const code = /^\s*code: '([A-Z_]+)'/m.exec(message)?.[1];
    return new ConvocateError(isErrorCode(code) ? code : "ROLLOUT_FAILED", thrown);
  }
  for (const match of message.matchAll(/(?:^|\s)([A-Z][A-Z_]+): /g)) {
    const [whole, code] = match;
    if (isErrorCode(code)) return new ConvocateError(code, message.slice(match.index + whole.length).trim());
  }
  const where = resource ? `${resource.host}, ${resource.what}: ` : "";
  return new ConvocateError("ROLLOUT_FAILED", `${where}${message}`);
}

/** The one error of several: each said once, a line each, with the code that matters most. */
export function combined(errors: readonly ConvocateError[]): ConvocateError | undefined {
  const first = errors.find((error) => error.code !== "ROLLOUT_FAILED") ?? errors[0];
  if (!first) return undefined;
  const lines = [...new Set([first, ...errors].map((error) => error.message))];
  const code: ErrorCode = first.code;
  return new ConvocateError(code, lines.join("\n"));
}
