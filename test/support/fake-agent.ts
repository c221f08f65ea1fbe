import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  agentKeyFiles,
  ConvocateError,
  EffectiveSettings,
  newSessionId,
  SUBSYSTEM,
  type AgentId,
  type Capacity,
  type SettingsChange,
  type Session,
  type SessionId,
} from "../../runtime/domain/index.js";
import { encodeAck, encodeOutput } from "../../runtime/protocol/attach/framing.js";
import { AttachHeader } from "../../runtime/protocol/attach/header.js";
import { silentLog } from "../../runtime/protocol/log.js";
import { readFirstLine, writeLine } from "../../runtime/protocol/ndjson.js";
import type { RpcHandlers } from "../../runtime/protocol/rpc/ops.js";
import { serveRpc } from "../../runtime/protocol/rpc/server.js";
import { serveSsh } from "../../runtime/protocol/ssh/server.js";
import type { ServedChannel, SshServer } from "../../runtime/protocol/ssh/types.js";
import { keyFiles } from "./keys.js";
import { PLAIN, STACK_SETTINGS } from "./samples.js";

/** An agent that speaks the real protocol on loopback and keeps its sessions in memory. */
export class FakeAgent implements AsyncDisposable {
  readonly id: AgentId;
  readonly name: string;
  readonly sessions = new Map<SessionId, Session>();
  /** Ops as they came, `op` or `op:<request id>`. */
  readonly calls: string[] = [];
  /** Every byte that reached the session, over all connections. */
  typed = "";
  readonly headers: AttachHeader[] = [];
  readonly windows: { cols: number; rows: number }[] = [];
  /** Set by a test: runs before an op is answered. */
  before: (op: string) => Promise<void> = async () => undefined;
  /** Set by a test: what an attach is answered with instead of being served. */
  refuseAttach: { code: string; error: string } | null = null;
  /** Null: an agent too old to know the op. */
  capacity: Capacity | null = null;
  settings: SettingsChange = {};
  /** Undefined: an agent too old to tell any. */
  labels: Record<string, string> | undefined = {};
  log: { timestamp: string; text: string }[] = [];
  /** Bytes that end an attach with status 0, as tmux's detach key does. */
  detachKey = "\x02d";
  /** Acknowledge input at once, or never. */
  acknowledge = true;
  readonly #dir: string;
  #server: SshServer | null = null;
  #taken = new Map<string, number>();
  readonly #created = new Map<string, Session>();
  readonly #channels = new Set<ServedChannel>();
  #port = 0;

  /** Keys are made in `dir`; `register` writes what a shell needs to dial it. */
  constructor(dir: string, id: AgentId, name: string) {
    this.#dir = join(dir, `fake-${id}`);
    mkdirSync(this.#dir);
    this.id = id;
    this.name = name;
    keyFiles(this.#dir, "host", "agent");
    keyFiles(this.#dir, "client", "shell");
    writeFileSync(join(this.#dir, "authorized"), keyText(this.#dir, "client.pub"));
  }

  get port(): number {
    return this.#port;
  }

  get attached(): number {
    return this.#channels.size;
  }

  async start(): Promise<void> {
    this.#server = await serveSsh({
      address: "127.0.0.1",
      port: this.#port,
      hostKeyPath: join(this.#dir, "host"),
      authorizedKeysPath: join(this.#dir, "authorized"),
      subsystems: {
        [SUBSYSTEM.rpc]: (channel) => serveRpc(channel.stream, this.#handlers(), { log: silentLog }),
        [SUBSYSTEM.attach]: (channel) => this.#attach(channel),
      },
      log: silentLog,
    });
    this.#port = this.#server.port;
  }

  /** Everything breaks, as with SIGKILL; what was taken of which stream is forgotten with `amnesia`. */
  async stop({ amnesia = false } = {}): Promise<void> {
    if (amnesia) this.#taken = new Map();
    await this.#server?.close();
    this.#server = null;
  }

  /** Writes this agent into a folder of agents, as provisioning does; `port` when a proxy stands before it. */
  register(agentKeys: string, port = this.#port): void {
    const folder = join(agentKeys, this.id);
    mkdirSync(folder, { recursive: true });
    const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
    write(agentKeyFiles.name, `${this.name}\n`);
    write(agentKeyFiles.privateKey, keyText(this.#dir, "client"));
    chmodSync(join(folder, agentKeyFiles.privateKey), 0o600);
    write(agentKeyFiles.hostKey, keyText(this.#dir, "host.pub"));
    write(agentKeyFiles.host, `127.0.0.1:${port}\n`);
  }

  unregister(agentKeys: string): void {
    rmSync(join(agentKeys, this.id), { recursive: true });
  }

  /** The private key a shell dials with, and the public host key: for connections of a test's own. */
  keys(): { privateKey: string; hostKey: string } {
    return { privateKey: keyText(this.#dir, "client"), hostKey: keyText(this.#dir, "host.pub").trim() };
  }

  addSession(name: string, change: Partial<Session> = {}): Session {
    const now = "2026-11-21T00:00:00.000Z";
    const session: Session = {
      id: newSessionId(),
      name,
      agent_id: this.id,
      ...PLAIN,
      created_at: now,
      last_accessed_at: now,
      image: "convocate:1.0.0",
      status: { state: "running", attached: 0, started_at: now },
      ...change,
    };
    this.sessions.set(session.id, session);
    return session;
  }

  /** Sends output to every attach. */
  show(text: string): void {
    for (const channel of this.#channels) channel.stream.write(encodeOutput(Buffer.from(text)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #handlers(): RpcHandlers {
    const find = (id: SessionId): Session => {
      const session = this.sessions.get(id);
      if (!session) throw new ConvocateError("SESSION_NOT_FOUND", `no session ${id}`);
      return session;
    };
    const change = (session: Session, status: Session["status"]): Session => {
      const changed = { ...session, status };
      this.sessions.set(session.id, changed);
      return changed;
    };
    const running = { state: "running", attached: 0, started_at: "2026-11-21T00:00:00.000Z" } as const;
    const stopped = { state: "stopped", exit_code: 0, oom_killed: false } as const;
    const came = async (op: string, label = op): Promise<void> => {
      this.calls.push(label);
      await this.before(op);
    };
    return {
      ping: async () => {
        await came("ping");
        const time = new Date().toISOString();
        return {
          agent_id: this.id,
          name: this.name,
          release: "3.0.0",
          protocol: 1,
          time,
          image: "convocate:1.0.0",
          uptime_s: 1,
          // As it goes over the wire: what is undefined is left out.
          labels: this.labels as Record<string, string>,
        };
      },
      list: async () => {
        await came("list");
        return { sessions: [...this.sessions.values()] };
      },
      get: async ({ id }) => find(id),
      create: async (params) => {
        const known = this.#created.get(params.request_id);
        const session =
          known ??
          this.addSession(params.name, {
            port: params.port === -1 ? 1001 : params.port,
            dns_name: params.dns_name,
            limits: params.limits,
            public: params.public,
            docker: params.docker,
            status: params.start ? running : stopped,
          });
        this.#created.set(params.request_id, session);
        await came("create", `create:${params.request_id}`);
        return session;
      },
      restart: async ({ id, force }) => {
        await came("restart");
        const session = find(id);
        if (session.status.state === "running" && !force)
          throw new ConvocateError("SESSION_RUNNING", `session ${session.name} runs already: use --force`);
        return change(session, running);
      },
      kill: async ({ id }) => {
        await came("kill");
        return change(find(id), stopped);
      },
      background: async ({ id }) => {
        await came("background");
        find(id);
        return { detached: this.attached };
      },
      delete: async ({ id }) => {
        await came("delete");
        find(id);
        this.sessions.delete(id);
        return {};
      },
      edit: async ({ id, limits, ...changed }) => {
        await came("edit");
        const session = find(id);
        const kept = Object.entries({ ...session.limits, ...limits }).filter(([, value]) => value !== null);
        const edited = { ...session, ...defined(changed), limits: Object.fromEntries(kept), restart_to_apply: true };
        this.sessions.set(id, edited);
        return edited;
      },
      clone: async ({ id, name }) => {
        await came("clone");
        const { limits } = find(id);
        const session = this.addSession(name, { limits, status: stopped });
        return { session, skipped: [{ path: "run/x.sock", kind: "socket" }], skipped_total: 3 };
      },
      override: async ({ id, force }) => {
        await came("override");
        const session = find(id);
        if (session.status.state === "locked" && !session.status.stale && !force)
          throw new ConvocateError("SESSION_LOCKED", "under way");
        return change(session, stopped);
      },
      "settings-get": async () => {
        await this.before("settings-get");
        return { effective: this.#effective(), changes: this.settings };
      },
      "settings-set": async ({ changes }) => {
        await came("settings-set");
        this.settings = { ...this.settings, ...changes };
        return { effective: this.#effective(), changes: this.settings };
      },
      capacity: async () => {
        if (!this.capacity) throw new ConvocateError("UNKNOWN_OP", "no such op");
        return this.capacity;
      },
      logs: async ({ lines, after }) => {
        await this.before("logs");
        const told = this.log.filter(
          ({ timestamp }) => after === undefined || Date.parse(timestamp) > Date.parse(after),
        );
        return { lines: told.slice(-lines) };
      },
      screen: async ({ id }) => {
        await this.before("screen");
        return { lines: [`screen of ${id}`] };
      },
    };
  }

  #effective(): EffectiveSettings {
    const changes = Object.entries(this.settings).filter(([, value]) => value !== null && value !== undefined);
    return EffectiveSettings.parse({ ...STACK_SETTINGS, ...Object.fromEntries(changes) });
  }

  async #attach(channel: ServedChannel): Promise<void> {
    const header = AttachHeader.parse(JSON.parse(await readFirstLine(channel.stream)));
    this.headers.push(header);
    channel.onWindowChange((size) => this.windows.push(size));
    const refuse = this.sessions.has(header.id)
      ? this.refuseAttach
      : { code: "SESSION_NOT_FOUND", error: `no session ${header.id}` };
    if (refuse) {
      await writeLine(channel.stream, { ok: false, ...refuse });
      channel.exit(1);
      return;
    }
    const stream = header.stream ?? "";
    await writeLine(channel.stream, { ok: true, taken: this.#taken.get(stream) ?? null });
    this.#taken.set(stream, this.#taken.get(stream) ?? 0);
    this.#channels.add(channel);
    try {
      channel.stream.write(encodeOutput(Buffer.from(`screen of ${header.id}\r\n`)));
      for await (const chunk of channel.stream as AsyncIterable<Buffer>) {
        const text = chunk.toString("utf8");
        this.typed += text;
        const taken = (this.#taken.get(stream) ?? 0) + chunk.length;
        this.#taken.set(stream, taken);
        if (this.acknowledge) channel.stream.write(encodeAck(taken));
        if (!text.includes(this.detachKey)) continue;
        channel.exit(0);
        return;
      }
    } finally {
      this.#channels.delete(channel);
    }
  }
}

function keyText(dir: string, name: string): string {
  return readFileSync(join(dir, name), "utf8");
}

/** Without the fields that a caller left out. */
function defined<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
