import { readFile } from "node:fs/promises";
import { ConvocateError, SettingsChange, type AgentSettings, type EffectiveSettings } from "../domain/index.js";
import type { Log } from "../protocol/log.js";
import { isMissing, writeWhole } from "../protocol/files.js";

/**
 * What the stack says of this agent, with what `settings-set` changed over it. Consumers ask at each use, so a change is in
 * force at once: for the next admission and the next container, not for containers that run already.
 */
export class LiveSettings {
  readonly #stack: AgentSettings;
  readonly #path: string;
  #changes: SettingsChange;
  #current: AgentSettings;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(stack: AgentSettings, path: string, changes: SettingsChange) {
    this.#stack = stack;
    this.#path = path;
    this.#changes = changes;
    this.#current = overlay(stack, changes);
  }

  /** A file of changes that cannot be understood is logged and left alone: the stack's settings are in force then. */
  static async open(stack: AgentSettings, path: string, log: Log): Promise<LiveSettings> {
    return new LiveSettings(stack, path, await readChanges(path, log));
  }

  /** In the shape of the stack's. */
  current(): AgentSettings {
    return this.#current;
  }

  effective(): EffectiveSettings {
    const { capacity, session } = this.#current;
    return { ...capacity, ...session.limits };
  }

  changes(): SettingsChange {
    return this.#changes;
  }

  cordoned(): boolean {
    return this.#changes.cordoned ?? false;
  }

  /** To be called before a session is made here, by whatever way. Throws REFUSED while the agent is cordoned. */
  refuseNew(): void {
    if (!this.cordoned()) return;
    throw new ConvocateError("REFUSED", cordonedText(this.#stack.name));
  }

  /** Adds to what was changed; null goes back to the stack's. In force once it is on disk. Throws IO_ERROR. */
  async change(changes: SettingsChange): Promise<void> {
    const mine = this.#writing.then(async () => {
      const merged = withoutNulls({ ...this.#changes, ...withoutUndefined(changes) });
      await writeWhole(this.#path, `${JSON.stringify(merged, null, 2)}\n`, 0o600);
      this.#changes = merged;
      this.#current = overlay(this.#stack, merged);
    });
    this.#writing = mine.catch(() => undefined);
    await mine;
  }
}

/** What it means that the agent of this name is cordoned, and what ends that; whoever asked it names it in front. */
export function cordonedText(name: string): string {
  return `this agent is cordoned and takes no new sessions: \`convocate settings ${name} cordoned=no\` ends that`;
}

function overlay(stack: AgentSettings, changes: SettingsChange): AgentSettings {
  const { capacity, session } = stack;
  return {
    ...stack,
    session: {
      ...session,
      limits: {
        memory_bytes: changes.memory_bytes ?? session.limits.memory_bytes,
        pids: changes.pids ?? session.limits.pids,
      },
    },
    capacity: {
      cpu_percent: changes.cpu_percent ?? capacity.cpu_percent,
      memory_percent: changes.memory_percent ?? capacity.memory_percent,
      disk_percent: changes.disk_percent ?? capacity.disk_percent,
      cpus: changes.cpus ?? capacity.cpus,
      disk_bytes: changes.disk_bytes ?? capacity.disk_bytes,
    },
  };
}

async function readChanges(path: string, log: Log): Promise<SettingsChange> {
  let why: string;
  try {
    const parsed = SettingsChange.safeParse(JSON.parse(await readFile(path, "utf8")));
    if (parsed.success) return withoutNulls(parsed.data);
    const issue = parsed.error.issues[0];
    why = `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not understood"}`;
  } catch (error) {
    if (isMissing(error)) return {};
    why = String(error);
  }
  log.error({ path, why }, "the changes of settings-set cannot be read: what the stack says is in force");
  return {};
}

function withoutNulls(changes: SettingsChange): SettingsChange {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== null));
}

function withoutUndefined(changes: SettingsChange): SettingsChange {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
}
