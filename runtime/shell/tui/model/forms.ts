import { labelsText, type AgentId, type Session, type SessionId } from "../../../domain/index.js";
import type { OpInput } from "../../../protocol/rpc/ops.js";
import { bytesText, coresText } from "../text.js";
import { openForm, YES, type Choice, type Field, type Form, type Problems } from "./form.js";
import { freeOf, fullness, isCordoned, reachableAgents, type AgentRow, type Snapshot } from "./snapshot.js";
import { parseBytes, parseDnsName, parseName, parseNumber, parsePort, writeBytes, type Parsed } from "./values.js";

/** What each form is about. */
export type FormSubject =
  | { form: "create" }
  | { form: "clone"; id: SessionId }
  | { form: "edit"; id: SessionId }
  | { form: "move"; id: SessionId };

/** What a form that is right asks for. */
export type FormRequest =
  | { form: "create"; agent: AgentId; spec: Omit<OpInput<"create">, "request_id"> }
  | { form: "clone"; id: SessionId; name: string; to?: AgentId }
  | { form: "edit"; id: SessionId; change: Omit<OpInput<"edit">, "id"> }
  | { form: "move"; id: SessionId; to: AgentId };

const LEAST_MEMORY = 64 * 1024 ** 2;
const LEAST_DISK = 1024 ** 2;
const CPUS = { least: 0.01, most: 1024, whole: false };
const PIDS = { least: 16, most: 4_194_304, whole: true };

const NAME: Field = { name: "name", label: "Name", kind: "text", hint: "letters, digits, - and _" };
const PORT: Field = {
  name: "port",
  label: "Port",
  kind: "text",
  empty: "none",
  hint: "published port: 8080, 5353/udp, auto, or nothing",
};
const DNS: Field = {
  name: "dns",
  label: "DNS name",
  kind: "text",
  empty: "none",
  hint: "as in api.lab, unique in the cluster, or nothing",
};
const PUBLIC: Field = {
  name: "public",
  label: "Public",
  kind: "check",
  text: "publish the port beyond the agent itself",
  hint: "Space turns it over; off, only the agent's own loopback reaches the port",
};
const LIMITS: readonly Field[] = [
  limit("cpus", "CPUs", "as in 1.5"),
  limit("memory", "Memory", "as in 512m or 2g"),
  limit("disk", "Disk", "as in 10g"),
  limit("pids", "Processes", "as in 4096"),
];

function limit(name: string, label: string, example: string): Field {
  return { name, label, kind: "text", empty: "the agent's default", hint: `${example}; nothing: the agent's default` };
}

/** An empty New form on the reachable agent with the most room that takes sessions; null when no agent can be reached. */
export function newForm(snapshot: Snapshot): Form | null {
  const [best] = reachableAgents(snapshot).sort(byRoom);
  return best ? openForm({ agent: best.view.id, start: YES }, "name") : null;
}

/** Most room first, cordoned ones last; where capacity is not known, the fewest running sessions. */
function byRoom(a: AgentRow, b: AgentRow): number {
  const closed = Number(isCordoned(a)) - Number(isCordoned(b));
  if (closed !== 0) return closed;
  if (a.capacity && b.capacity) return fullness(a.capacity) - fullness(b.capacity) || a.running - b.running;
  return a.running - b.running;
}

export function cloneForm(session: Session): Form {
  return openForm({ name: `${session.name.slice(0, 59)}-copy`, agent: session.agent_id }, "name");
}

export function editForm({ name, port, protocol, dns_name, public: isPublic, limits }: Session): Form {
  const bytes = (value: number | undefined): string => (value === undefined ? "" : writeBytes(value));
  const values = {
    name,
    port: port > 0 ? `${port}${protocol === "udp" ? "/udp" : ""}` : "",
    dns: dns_name ?? "",
    public: isPublic ? YES : "",
    cpus: limits.cpus === undefined ? "" : String(limits.cpus),
    memory: bytes(limits.memory_bytes),
    disk: bytes(limits.disk_bytes),
    pids: limits.pids === undefined ? "" : String(limits.pids),
  };
  return openForm(values, "name");
}

/**
 * A Move form to the agent with the most room, or to the one that a move which was cut off went to; null when no other agent
 * can be reached.
 */
export function moveForm(session: Session, snapshot: Snapshot): Form | null {
  const others = reachableAgents(snapshot).filter(({ view }) => view.id !== session.agent_id);
  const best = others.find(({ view }) => view.id === session.moved_to) ?? others.sort(byRoom)[0];
  return best ? openForm({ agent: best.view.id }, "agent") : null;
}

export function fieldsOf(subject: FormSubject, snapshot: Snapshot): readonly Field[] {
  switch (subject.form) {
    case "create": {
      const agent = agentField(snapshot, null);
      return [
        NAME,
        ...(snapshot.agents.length > 1 ? [agent] : []),
        PORT,
        DNS,
        ...LIMITS.slice(0, 2),
        PUBLIC,
        {
          name: "docker",
          label: "Docker",
          kind: "check",
          text: "give it the agent's Docker socket",
          hint: "Space turns it over; it makes the session root on that agent's host",
        },
        { name: "start", label: "Start", kind: "check", text: "start it now", hint: "Space turns it over" },
      ];
    }
    case "clone":
      return snapshot.agents.length > 1 ? [NAME, agentField(snapshot, null)] : [NAME];
    case "edit":
      return [NAME, PORT, DNS, PUBLIC, ...LIMITS];
    case "move":
      return [agentField(snapshot, snapshot.sessions.get(subject.id)?.session.agent_id ?? null)];
  }
}

function agentField(snapshot: Snapshot, without: AgentId | null): Field {
  const choices = snapshot.agents
    .filter(({ view }) => view.id !== without)
    .map((agent): Choice => ({
      value: agent.view.id,
      label: agent.view.name,
      note: roomText(agent),
      ...labelled(agent),
      ...closedTo(agent),
    }));
  return { name: "agent", label: "Agent", kind: "choice", choices, hint: "left and right choose" };
}

function labelled({ view }: AgentRow): Pick<Choice, "more"> {
  const labels = labelsText(view.labels ?? {});
  return labels === "" ? {} : { more: `labels ${labels}` };
}

function closedTo(agent: AgentRow): Pick<Choice, "problem"> {
  const { name } = agent.view;
  if (!agent.reachable) return { problem: `${name} cannot be reached now, choose another` };
  return isCordoned(agent) ? { problem: `${name} is cordoned and takes no new sessions, choose another` } : {};
}

/** `5.2 cores and 12 GiB free, 3 running`. */
function roomText(agent: AgentRow): string {
  const { capacity, reachable, running } = agent;
  if (!reachable) return "does not answer";
  if (isCordoned(agent)) return "cordoned";
  if (!capacity) return `${running} running`;
  const free = freeOf(capacity);
  const room = `${coresText(free.cpus)}, ${bytesText(free.memory_bytes)}, disk ${bytesText(free.disk_bytes)} free`;
  return fullness(capacity) >= 1 ? `full: ${room}` : room;
}

/** What is wrong with the form as it stands, by field. */
export function problemsOf(subject: FormSubject, form: Form, snapshot: Snapshot): Problems {
  const problems: Record<string, string | undefined> = {};
  const names = new Set(fieldsOf(subject, snapshot).map(({ name }) => name));
  const check = (field: string, parsed: Parsed<unknown>): void => {
    if (names.has(field) && !parsed.ok) problems[field] = parsed.problem;
  };
  const value = (field: string): string => form.values[field] ?? "";
  if (form.submitted || value("name") !== "") check("name", parseName(value("name")));
  check("port", parsePort(value("port")));
  check("dns", parseDnsName(value("dns")));
  check("cpus", parseNumber(value("cpus"), CPUS));
  check("memory", parseBytes(value("memory"), LEAST_MEMORY));
  check("disk", parseBytes(value("disk"), LEAST_DISK));
  check("pids", parseNumber(value("pids"), PIDS));
  if (subject.form !== "edit") {
    const agent = snapshot.agents.find(({ view }) => view.id === value("agent"));
    if (!agent) problems["agent"] = "this agent is gone, choose another";
    else if (!agent.reachable) problems["agent"] = `${agent.view.name} cannot be reached now, choose another`;
  }
  return problems;
}

/** What the form asks for; null when something is wrong with it. */
export function requestOf(subject: FormSubject, form: Form, snapshot: Snapshot): FormRequest | null {
  if (Object.values(problemsOf(subject, form, snapshot)).some((problem) => problem !== undefined)) return null;
  const value = (field: string): string => form.values[field] ?? "";
  const agent = snapshot.agents.find(({ view }) => view.id === value("agent"))?.view.id;
  switch (subject.form) {
    case "create": {
      if (!agent) return null;
      const { cpus, memory_bytes } = limitsOf(form);
      const spec = {
        name: value("name"),
        ...valueOf(parsePort(value("port"))),
        dns_name: valueOf(parseDnsName(value("dns"))),
        limits: { ...(cpus === null ? {} : { cpus }), ...(memory_bytes === null ? {} : { memory_bytes }) },
        public: value("public") === YES,
        docker: value("docker") === YES,
        start: value("start") === YES,
      };
      return { form: "create", agent, spec };
    }
    case "clone":
      return {
        form: "clone",
        id: subject.id,
        name: value("name"),
        ...(agent && agent !== form.initial["agent"] ? { to: agent } : {}),
      };
    case "move":
      return agent ? { form: "move", id: subject.id, to: agent } : null;
    case "edit":
      return { form: "edit", id: subject.id, change: changeOf(form) };
  }
}

/** Only what was changed here, so that an edit of a name does not take back somebody else's edit of a port. */
function changeOf(form: Form): Omit<OpInput<"edit">, "id"> {
  const differs = (field: string): boolean => (form.values[field] ?? "") !== (form.initial[field] ?? "");
  const limits = limitsOf(form);
  const changed = {
    ...(differs("cpus") ? { cpus: limits.cpus } : {}),
    ...(differs("memory") ? { memory_bytes: limits.memory_bytes } : {}),
    ...(differs("disk") ? { disk_bytes: limits.disk_bytes } : {}),
    ...(differs("pids") ? { pids: limits.pids } : {}),
  };
  return {
    ...(differs("name") ? { name: form.values["name"] ?? "" } : {}),
    ...(differs("port") ? valueOf(parsePort(form.values["port"] ?? "")) : {}),
    ...(differs("dns") ? { dns_name: valueOf(parseDnsName(form.values["dns"] ?? "")) } : {}),
    ...(differs("public") ? { public: form.values["public"] === YES } : {}),
    ...(Object.keys(changed).length > 0 ? { limits: changed } : {}),
  };
}

function limitsOf(form: Form): Record<"cpus" | "memory_bytes" | "disk_bytes" | "pids", number | null> {
  const value = (field: string): string => form.values[field] ?? "";
  return {
    cpus: valueOf(parseNumber(value("cpus"), CPUS)),
    memory_bytes: valueOf(parseBytes(value("memory"), LEAST_MEMORY)),
    disk_bytes: valueOf(parseBytes(value("disk"), LEAST_DISK)),
    pids: valueOf(parseNumber(value("pids"), PIDS)),
  };
}

/** For values that `problemsOf` has found right. */
function valueOf<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(`a value that was right is wrong: ${parsed.problem}`);
  return parsed.value;
}
