import type { AgentId, EffectiveSettings, SettingsChange } from "../../../domain/index.js";
import { openForm, YES, type Choice, type Field, type Form, type Problems } from "./form.js";
import type { Snapshot } from "./snapshot.js";
import { parseBytes, parseNumber, writeBytes, type Parsed } from "./values.js";

/** An agent's settings as it answered: what holds, and what of that was changed here and not by the stack. */
export interface LoadedSettings {
  effective: EffectiveSettings;
  changes: SettingsChange;
}

type Name = keyof EffectiveSettings;

const PERCENT = { least: 1, most: 100, whole: true };

/** What can be changed, in the order shown; `read` takes what was typed. */
const SETTINGS: readonly { name: Name; label: string; hint: string; read: (text: string) => Parsed<number | null> }[] =
  [
    { name: "cpu_percent", label: "CPU %", hint: "of the host's cores, for all sessions together", read: percent },
    {
      name: "memory_percent",
      label: "Memory %",
      hint: "of the host's memory, for all sessions together",
      read: percent,
    },
    { name: "disk_percent", label: "Disk %", hint: "of the file system, for all sessions together", read: percent },
    {
      name: "cpus",
      label: "CPUs",
      hint: "cores that a session without a limit of its own pledges",
      read: (text) => parseNumber(text, { least: 0.01, most: 1024, whole: false }),
    },
    {
      name: "memory_bytes",
      label: "Memory",
      hint: "limit of a session without one of its own, as in 2g",
      read: (text) => parseBytes(text, 64 * 1024 ** 2),
    },
    {
      name: "disk_bytes",
      label: "Disk",
      hint: "allowance of a session without one of its own, as in 5g",
      read: (text) => parseBytes(text, 1024 ** 2),
    },
    {
      name: "pids",
      label: "Processes",
      hint: "limit of a session without one of its own",
      read: (text) => parseNumber(text, { least: 16, most: 4_194_304, whole: true }),
    },
  ];

const CORDONED = "cordoned";

function percent(text: string): Parsed<number | null> {
  return parseNumber(text, PERCENT);
}

/** The agent alone until its settings are there. */
export function settingsForm(agent: AgentId, loaded: LoadedSettings | null): Form {
  if (!loaded) return openForm({ agent }, "agent");
  const bytes = (name: Name): boolean => name === "memory_bytes" || name === "disk_bytes";
  const values = SETTINGS.map(({ name }): [string, string] => {
    const value = loaded.effective[name];
    return [name, bytes(name) ? writeBytes(value) : String(value)];
  });
  const cordoned = loaded.changes.cordoned ? YES : "";
  return openForm({ agent, ...Object.fromEntries(values), [CORDONED]: cordoned }, "agent");
}

export function settingsFields(snapshot: Snapshot, loaded: LoadedSettings | null): readonly Field[] {
  const choices = snapshot.agents.map(({ view }): Choice => ({ value: view.id, label: view.name, note: "" }));
  const agent: Field = { name: "agent", label: "Agent", kind: "choice", choices, hint: "left and right choose" };
  if (!loaded) return [agent];
  const changed = (name: Name): string =>
    loaded.changes[name] === undefined || loaded.changes[name] === null ? "" : "; changed here, empty takes it back";
  return [
    agent,
    ...SETTINGS.map(({ name, label, hint }): Field => ({ name, label, kind: "text", hint: hint + changed(name) })),
    {
      name: CORDONED,
      label: "Cordoned",
      kind: "check",
      text: "take no new sessions",
      hint: "Space turns it over; the sessions it has go on",
    },
  ];
}

export function settingsProblems(form: Form, loaded: LoadedSettings | null): Problems {
  const problems: Record<string, string | undefined> = {};
  for (const { name, read } of loaded ? SETTINGS : []) {
    const parsed = read(form.values[name] ?? "");
    if (!parsed.ok) problems[name] = parsed.problem;
  }
  return problems;
}

/** What was changed in the form; an emptied field goes back to what the stack says (null). */
export function settingsChange(form: Form): SettingsChange {
  const change: SettingsChange = {};
  for (const { name, read } of SETTINGS) {
    const text = form.values[name] ?? "";
    if (text === (form.initial[name] ?? "")) continue;
    const parsed = read(text);
    if (parsed.ok) change[name] = parsed.value;
  }
  const cordoned = form.values[CORDONED] ?? "";
  if (cordoned !== (form.initial[CORDONED] ?? "")) change.cordoned = cordoned === YES;
  return change;
}
