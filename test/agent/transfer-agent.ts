import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { duplexPair, type Duplex } from "node:stream";
import { Containers } from "../../runtime/agent/containers/containers.js";
import { DockerPulse } from "../../runtime/agent/containers/pulse.js";
import { systemClock } from "../../runtime/agent/clock.js";
import { Homes } from "../../runtime/agent/sessions/homes.js";
import { LockFiles } from "../../runtime/agent/sessions/lock-files.js";
import { Locks } from "../../runtime/agent/sessions/locks.js";
import { MetadataStore } from "../../runtime/agent/sessions/metadata.js";
import { recover } from "../../runtime/agent/sessions/recover.js";
import { Sessions } from "../../runtime/agent/sessions/sessions.js";
import { TransferRecords } from "../../runtime/agent/transfer/records.js";
import { Transfers } from "../../runtime/agent/transfer/transfers.js";
import { AgentSettings, ConvocateError, newAgentId, type SessionId } from "../../runtime/domain/index.js";
import { silentLog } from "../../runtime/protocol/log.js";
import { RpcClient } from "../../runtime/protocol/rpc/client.js";
import type { Op, OpInput, OpResult, RpcHandlers } from "../../runtime/protocol/rpc/ops.js";
import { serveRpc } from "../../runtime/protocol/rpc/server.js";
import type { TransferPeer } from "../../runtime/shell/agents/transfer.js";
import { FakeCgroups, roomForAll } from "./fake-cgroups.js";
import { FakeJournal } from "./fake-journal.js";
import { FakeDocker } from "./fake-docker.js";

/** Which effect on disk or on Docker an agent dies at, counted from 1: before it, or when it is done. */
export interface Death {
  at: number;
  when: "before" | "after";
}

const EFFECTS = {
  store: ["put", "update", "remove"],
  records: ["put", "remove"],
  homes: ["receive", "accept", "refuse", "setAside", "remove"],
  containers: ["stop", "make", "run", "remove"],
} as const;

/**
 * The parts of an agent that a move goes through, on real files and a fake Docker, served over the real protocol without a
 * network. It can die as by SIGKILL at any of its effects: nothing of it runs on from there, and `revive` starts a new
 * one on the same files.
 */
export class TransferAgent implements TransferPeer, AsyncDisposable {
  readonly id = newAgentId();
  readonly docker = new FakeDocker();
  readonly events: string[] = [];
  readonly settings: AgentSettings;
  /** What was done, `store.update` and the like. */
  readonly effects: string[] = [];
  death: Death | null = null;
  /** Set by a test: refuses every admission. */
  full = false;
  /** Set by a test: takes no new sessions. */
  cordoned = false;
  /** Set by a test: what a file system does when its archive is synced. */
  sync: () => Promise<void> = async () => undefined;
  alive = false;
  sessions!: Sessions;
  homes!: Homes;
  records!: TransferRecords;
  store!: MetadataStore;
  #transfers!: Transfers;
  #handlers!: RpcHandlers;
  #ends = new Set<Duplex>();
  #lives = 0;
  /** Effects of this life that are under way. */
  #underWay = new Set<Promise<unknown>>();

  constructor(
    readonly name: string,
    readonly root: string,
    change: Partial<AgentSettings> = {},
  ) {
    mkdirSync(join(root, "home"), { recursive: true });
    const own = { uid: process.getuid?.() || 1, gid: process.getgid?.() || 1 };
    this.settings = { ...AgentSettings.parse({ name, home: join(root, "home"), ...own }), ...change };
    this.docker.images.add("convocate:1");
  }

  async revive(): Promise<void> {
    this.death = null;
    // What the former life had begun is done or not, before the next one looks; it would end with its process.
    await Promise.allSettled(this.#underWay);
    const underWay = (this.#underWay = new Set());
    const life = { over: false };
    const gate = async (): Promise<void> => {
      if (life.over) await new Promise(() => undefined);
    };
    const mortal = <T extends object>(part: keyof typeof EFFECTS, target: T): T =>
      new Proxy(target, {
        get: (_, property) => {
          const value: unknown = Reflect.get(target, property, target);
          if (typeof value !== "function") return value;
          if (!(EFFECTS[part] as readonly unknown[]).includes(property)) return value.bind(target) as unknown;
          return async (...args: unknown[]): Promise<unknown> => {
            await gate();
            this.effects.push(`${part}.${String(property)}`);
            const due = this.death?.at === this.effects.length ? this.death.when : null;
            if (due === "before") this.#die(life);
            await gate();
            const work = (Reflect.apply(value, target, args) as Promise<unknown>).finally(() => underWay.delete(work));
            underWay.add(work);
            const result: unknown = await work;
            if (due === "after") this.#die(life);
            await gate();
            return result;
          };
        },
      });
    const { settings, docker, root } = this;
    this.store = mortal("store", await MetadataStore.open(join(root, "sessions"), silentLog));
    this.homes = mortal("homes", new Homes(settings.home, settings));
    const containers = mortal(
      "containers",
      new Containers({
        docker,
        settings: () => settings,
        homes: this.homes,
        currentImage: () => "convocate:1",
        admission: roomForAll,
        cgroups: new FakeCgroups(),
      }),
    );
    // Each life is a process of its own to the locks that an earlier one left.
    const self = { pid: (this.#lives += 1), started: "1", boot_id: "b" };
    const owners = { self, alive: ({ pid }: typeof self) => pid === self.pid };
    const lockFiles = new LockFiles(join(root, "locks"), silentLog, owners);
    const common = {
      store: this.store,
      homes: this.homes,
      containers,
      locks: new Locks(systemClock, 500, lockFiles),
      events: {
        emit: (type: string, id: SessionId | null) => void this.events.push(`${type} ${id ?? ""}`),
      },
      clock: systemClock,
      refuseNew: () => {
        if (this.cordoned) throw new ConvocateError("REFUSED", "cordoned");
      },
    };
    await recover({ ...common, lockFiles, log: silentLog });
    this.sessions = new Sessions({
      ...common,
      agentId: this.id,
      attached: () => 0,
      detachAll: async () => 0,
      journal: new FakeJournal(),
      reservedPorts: settings.reserved_ports,
      pulse: new DockerPulse(docker, systemClock),
    });
    this.records = mortal("records", await TransferRecords.open(join(root, "transfers"), silentLog));
    this.#transfers = new Transfers({
      ...common,
      records: this.records,
      sessions: this.sessions,
      owner: settings,
      admit: async () => {
        if (this.full) throw new ConvocateError("ADMISSION_DENIED", "would push the slice to 96%");
      },
      sync: () => this.sync(),
      log: silentLog,
      stallMs: 2_000,
    });
    const { sessions } = this;
    this.#handlers = {
      list: async () => ({ sessions: await sessions.list() }),
      get: ({ id }) => sessions.get(id),
      restart: ({ id, force }) => sessions.restart(id, force),
      ...this.#transfers.handlers,
    };
    this.alive = true;
    this.effects.length = 0;
    await this.#transfers.start();
    this.effects.length = 0;
  }

  /** Everything that reaches it breaks, and nothing of it runs on. */
  #die(life: { over: boolean }): void {
    life.over = true;
    this.alive = false;
    this.cut();
  }

  /** Breaks every channel to it. */
  cut(): void {
    for (const end of this.#ends) end.destroy();
    this.#ends.clear();
  }

  async call<O extends Op>(op: O, params: OpInput<O>, timeoutMs: number): Promise<OpResult<O>> {
    const client = new RpcClient(this.#channel());
    try {
      return await client.call(op, params, { timeoutMs: Math.min(timeoutMs, 3_000) });
    } finally {
      client.close();
    }
  }

  async open(): ReturnType<TransferPeer["open"]> {
    const stream = this.#channel();
    return { stream, close: () => stream.destroy() };
  }

  /** Waits until nothing that a broken channel set off is under way. */
  async settled(): Promise<void> {
    if (this.alive) await this.#transfers[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await this.settled();
  }

  #channel(): Duplex {
    if (!this.alive) throw new ConvocateError("UNREACHABLE", `agent ${this.name} cannot be reached`);
    const [client, server] = duplexPair();
    // As with a connection: when one end is gone, so is the other.
    client.once("close", () => server.destroy());
    server.once("close", () => client.destroy());
    for (const end of [client, server]) {
      end.on("error", () => undefined);
      this.#ends.add(end);
      end.once("close", () => this.#ends.delete(end));
    }
    void serveRpc(server, this.#handlers, { log: silentLog, streams: this.#transfers.streams })
      .catch(() => undefined)
      .then(() => server.end());
    return client;
  }
}
