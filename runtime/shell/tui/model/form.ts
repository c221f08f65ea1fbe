import type { AgentId } from "../../../domain/index.js";
import { RESERVED_PORTS, SessionName } from "../../../domain/index.js";
import { OPS, type OpInput } from "../../../protocol/rpc/ops.js";
import type { Key } from "./keys.js";
import { reachableAgents, type Snapshot } from "./snapshot.js";

/** The New dialog: what was typed so far. The agent field is there only when there is a choice. */
export interface CreateForm {
  name: string;
  agent: AgentId;
  port: string;
  start: boolean;
  focus: Field;
  /** Set by the first try to create: from then on empty fields are complained about too. */
  submitted: boolean;
}

export type Field = "name" | "agent" | "port" | "start";

export interface FormProblems {
  name?: string;
  agent?: string;
  port?: string;
}

/** What a form that is right asks for, and the form itself, to come back to when it cannot be had. */
export interface CreateRequest {
  agent: AgentId;
  spec: Omit<OpInput<"create">, "request_id">;
  form: CreateForm;
}

/** Longest text a field takes; more than any valid value needs. */
const FIELD_MAX = 80;

/** An empty form on the reachable agent with the fewest running sessions; null when no agent can be reached. */
export function newForm(snapshot: Snapshot): CreateForm | null {
  const [best] = reachableAgents(snapshot).sort((a, b) => a.running - b.running);
  if (!best) return null;
  return { name: "", agent: best.view.id, port: "", start: true, focus: "name", submitted: false };
}

export function fieldsOf(snapshot: Snapshot): Field[] {
  return snapshot.agents.length > 1 ? ["name", "agent", "port", "start"] : ["name", "port", "start"];
}

/** `8080`, `5353/udp`, `auto` (the first free from 1001 up) or nothing; what the wire's schema refuses is refused here too. */
export function parsePort(
  text: string,
): { ok: true; port: number; protocol: "tcp" | "udp" } | { ok: false; problem: string } {
  const typed = text.trim().toLowerCase();
  if (typed === "" || typed === "none") return { ok: true, port: 0, protocol: "tcp" };
  const match = /^(auto|-?\d+)(?:\/(tcp|udp))?$/.exec(typed);
  const value = match?.[1] === "auto" ? -1 : Number(match?.[1]);
  const parsed = OPS.create.params.shape.port.safeParse(match ? value : undefined);
  if (RESERVED_PORTS.includes(value))
    return { ok: false, problem: `${value} is a port of the host itself, choose another` };
  if (!match || !parsed.success)
    return { ok: false, problem: "a port from 1 to 65535 (8080, 5353/udp), auto, or nothing" };
  return { ok: true, port: parsed.data, protocol: match[2] === "udp" ? "udp" : "tcp" };
}

/** What is wrong with the form as it stands, by field. */
export function formProblems(form: CreateForm, snapshot: Snapshot): FormProblems {
  const problems: FormProblems = {};
  const name = SessionName.safeParse(form.name);
  if (!name.success && (form.submitted || form.name !== ""))
    problems.name = form.name === "" ? "a session needs a name" : (name.error.issues[0]?.message ?? "not a name");
  const port = parsePort(form.port);
  if (!port.ok) problems.port = port.problem;
  const agent = snapshot.agents.find(({ view }) => view.id === form.agent);
  if (!agent) problems.agent = "this agent is gone, choose another";
  else if (agent.state === "connecting") problems.agent = `${agent.view.name} cannot be reached now, choose another`;
  return problems;
}

/** The form after a key; with the request to send when the key was Enter and nothing is wrong. */
export function formKey(form: CreateForm, key: Key, snapshot: Snapshot): { form: CreateForm; request?: CreateRequest } {
  switch (key.name) {
    case "enter":
      return submit({ ...form, submitted: true }, snapshot);
    case "tab":
    case "down":
      return { form: moveFocus(form, 1, snapshot) };
    case "backtab":
    case "up":
      return { form: moveFocus(form, -1, snapshot) };
    case "left":
    case "right":
      return { form: change(form, key.name === "left" ? -1 : 1, snapshot) };
    case "backspace":
      return { form: edit(form, (text) => Array.from(text).slice(0, -1).join("")) };
    case "ctrl-u":
      return { form: edit(form, () => "") };
    case "char":
      if (key.char === " " && (form.focus === "agent" || form.focus === "start"))
        return { form: change(form, 1, snapshot) };
      return { form: formPaste(form, key.char) };
    default:
      return { form };
  }
}

/** The form with text put in at the end of the focused field; line ends and control characters are left out. */
export function formPaste(form: CreateForm, text: string): CreateForm {
  const plain = text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "");
  return edit(form, (before) => (before + plain).slice(0, FIELD_MAX));
}

function edit(form: CreateForm, change: (text: string) => string): CreateForm {
  if (form.focus === "name") return { ...form, name: change(form.name) };
  if (form.focus === "port") return { ...form, port: change(form.port) };
  return form;
}

function moveFocus(form: CreateForm, by: 1 | -1, snapshot: Snapshot): CreateForm {
  const fields = fieldsOf(snapshot);
  const at = fields.indexOf(form.focus);
  return { ...form, focus: fields[(at + by + fields.length) % fields.length] ?? "name" };
}

/** Another agent, or start turned over: what left, right and Space do in the fields that are not text. */
function change(form: CreateForm, by: 1 | -1, snapshot: Snapshot): CreateForm {
  if (form.focus === "start") return { ...form, start: !form.start };
  if (form.focus !== "agent" || snapshot.agents.length === 0) return form;
  const count = snapshot.agents.length;
  const at = snapshot.agents.findIndex(({ view }) => view.id === form.agent);
  const next = snapshot.agents[at === -1 ? 0 : (at + by + count) % count];
  return next ? { ...form, agent: next.view.id } : form;
}

function submit(form: CreateForm, snapshot: Snapshot): { form: CreateForm; request?: CreateRequest } {
  const problems = formProblems(form, snapshot);
  const port = parsePort(form.port);
  const wrong = (["name", "agent", "port"] as const).find((field) => problems[field] !== undefined);
  if (wrong) return { form: { ...form, focus: fieldsOf(snapshot).includes(wrong) ? wrong : form.focus } };
  if (!port.ok) return { form };
  return {
    form,
    request: {
      agent: form.agent,
      spec: { name: form.name, port: port.port, protocol: port.protocol, start: form.start },
      form,
    },
  };
}
