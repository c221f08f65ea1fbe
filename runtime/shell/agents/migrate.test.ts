import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { leaveFormer } from "../../../test/agent/former-host.js";
import { TransferAgent } from "../../../test/agent/transfer-agent.js";
import { FormerHome } from "../../agent/adoption/index.js";
import { ConvocateError, type SessionId } from "../../domain/index.js";
import { migrateOrphan } from "./migrate.js";
import type { TransferPeer } from "./transfer.js";

let root: string;
let home: string;
let agent: TransferAgent;
let id: SessionId;
let containerRuns: boolean;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "convocate-migrate-"));
  home = join(root, "claude");
  mkdirSync(home);
  agent = new TransferAgent("there", join(root, "there"));
  await agent.revive();
  id = leave({ port: 8080, dns_name: "web.example" });
  containerRuns = false;
});
afterEach(async () => {
  await agent[Symbol.asyncDispose]();
  rmSync(root, { recursive: true });
});

/** A session's directory as an earlier release left it, open to all, with what its user did as root in it. */
function leave(change: Record<string, unknown> = {}, uuid?: SessionId): SessionId {
  const left = leaveFormer(home, { created_at: "2025-01-02T03:04:05.123456789Z", ...change }, uuid);
  const folder = join(home, left);
  mkdirSync(join(folder, "src/deep"), { recursive: true });
  writeFileSync(join(folder, "src/deep/file"), "text".repeat(50_000));
  writeFileSync(join(folder, "-odd\nname"), "odd");
  symlinkSync("/nowhere", join(folder, "dangling"));
  mkdirSync(join(folder, "closed"), { mode: 0o500 });
  chmodSync(folder, 0o755);
  return left;
}

const owner = { uid: process.getuid!() || 1, gid: process.getgid!() || 1 };
const source = (uuid = id): FormerHome => new FormerHome({ id: uuid, home, owner, runs: async () => containerRuns });
const contents = (folder: string): string =>
  execFileSync(
    "bash",
    ["-c", "find . -type f -print0 | sort -z | xargs -0 sha256sum; find . -type l -printf '%p %l\n'"],
    {
      cwd: folder,
      encoding: "utf8",
    },
  );
const there = (): string => join(agent.root, "home", id);
const listed = async (): Promise<string[]> => (await agent.sessions.list()).map((one) => one.id);

/** The agent over a link that breaks after its nth use: a call, or a write on its channel. */
function breaking(at: number): { peer: TransferPeer; uses: () => number } {
  let uses = 0;
  const lost = (): ConvocateError => new ConvocateError("CONNECTION_LOST", "cut");
  const peer: TransferPeer = {
    id: agent.id,
    name: agent.name,
    async call(op, params, timeoutMs) {
      const use = (uses += 1);
      if (use > at) throw lost();
      const result = await agent.call(op, params, timeoutMs);
      if (use === at) throw lost();
      return result;
    },
    async open() {
      const channel = await agent.open();
      const write = channel.stream.write.bind(channel.stream) as (data: unknown) => boolean;
      channel.stream.write = ((data: unknown): boolean => {
        const use = (uses += 1);
        if (use > at) {
          channel.close();
          return false;
        }
        const went = write(data);
        if (use === at) setImmediate(() => channel.close());
        return went;
      }) as typeof channel.stream.write;
      return channel;
    },
  };
  return { peer, uses: () => uses };
}

describe("an orphan that is migrated", () => {
  test("is a stopped session of the agent with all it had, whose everything is the service user's, and is gone here", async () => {
    const before = contents(join(home, id));
    const { session, warnings, skipped_total } = await migrateOrphan(id, source(), agent);
    expect(session).toMatchObject({
      id,
      name: "old",
      port: 8080,
      dns_name: "web.example",
      created_at: "2025-01-02T03:04:05.123Z",
      status: { state: "stopped" },
    });
    expect({ warnings, skipped_total }).toEqual({ warnings: [], skipped_total: 0 });
    expect(contents(there())).toBe(before);
    expect(statSync(there()).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(there(), { recursive: true }) as string[])
      expect(lstatSync(join(there(), name))).toMatchObject(owner);
    expect(readdirSync(home)).toEqual([]);
    expect(agent.events).toContain(`container.created ${id}`);
    expect(agent.records.all()).toEqual([]);
    const started = await agent.sessions.restart(id, false);
    expect(started.status.state).toBe("running");
  });

  test("keeps its directory while its container runs, and says how to stop it", async () => {
    containerRuns = true;
    await expect(migrateOrphan(id, source(), agent)).rejects.toMatchObject({
      code: "SESSION_RUNNING",
      message: expect.stringContaining(`docker stop convocate-session-${id}`),
    });
    expect(await listed()).toEqual([]);
    expect(existsSync(join(home, id, "src/deep/file"))).toBe(true);
  });

  test("is refused where that id is taken, also by what was migrated from another copy of it", async () => {
    await migrateOrphan(id, source(), agent);
    leave({}, id);
    await expect(migrateOrphan(id, source(), agent)).rejects.toMatchObject({
      code: "SESSION_EXISTS",
      message: expect.stringMatching(/session old .* is on this agent already/),
    });
    expect(existsSync(join(home, id, "src/deep/file"))).toBe(true);
  });

  test("is refused where its port is taken, and takes another one when told", async () => {
    await agent.sessions.create({ ...params, name: "other", port: 8080 });
    await expect(migrateOrphan(id, source(), agent)).rejects.toMatchObject({
      code: "PORT_TAKEN",
      message: expect.stringContaining("migrate-session takes --port"),
    });
    expect((await migrateOrphan(id, source(), agent, { port: -1 })).session.port).toBe(1001);
  });

  test("is refused with what is false in its file, and by whoever knows that its DNS name is taken", async () => {
    const false_ = leave({ name: "a;b" });
    await expect(migrateOrphan(false_, source(false_), agent)).rejects.toMatchObject({
      code: "REFUSED",
      message: expect.stringContaining("name in its session.json"),
    });
    const refuse = async (name: string | null): Promise<void> => {
      throw new ConvocateError("DNS_NAME_TAKEN", `${name ?? ""} is taken`);
    };
    await expect(migrateOrphan(id, source(), agent, { refuse })).rejects.toMatchObject({
      message: "web.example is taken",
    });
    expect(await listed()).toEqual([]);
  });

  test("is told as an old copy when what it became was deleted since", async () => {
    const cut = breaking(Infinity);
    const remove = async (): Promise<void> => {
      throw new ConvocateError("IO_ERROR", "what is left cannot be removed");
    };
    const stuck = Object.assign(source(), { remove });
    const { warnings } = await migrateOrphan(id, stuck, cut.peer);
    expect(warnings).toEqual([expect.stringMatching(/on agent there now, but what is left .* migrate it once more/)]);
    await agent.sessions.delete(id, "request-1");
    await expect(migrateOrphan(id, source(), agent)).rejects.toMatchObject({
      code: "REFUSED",
      message: expect.stringContaining("old copy"),
    });
    expect(existsSync(join(home, id, "src/deep/file"))).toBe(true);
  });
});

describe("a migration that is cut off", () => {
  test("at any use of the link leaves the source whole until the agent has it, and once more completes it", async () => {
    const counting = breaking(Infinity);
    await migrateOrphan(id, source(), counting.peer);
    const uses = counting.uses();
    expect(uses).toBeGreaterThan(6);
    // Cut before the first use, and after each: before one is after the one before it.
    for (let at = 0; at <= uses; at++) {
      id = leave({ port: 0 });
      const before = contents(join(home, id));
      await migrateOrphan(id, source(), breaking(at).peer, { patienceMs: 0 }).catch(() => undefined);
      await agent.settled();
      const whole = existsSync(join(home, id)) && contents(join(home, id)) === before;
      expect({ at, whole: whole || (await listed()).includes(id) }).toEqual({ at, whole: true });
      if (existsSync(join(home, id))) await migrateOrphan(id, source(), agent);
      expect(contents(there())).toBe(before);
      expect(existsSync(join(home, id))).toBe(false);
      expect(await listed()).toContain(id);
    }
    expect(readdirSync(join(agent.root, "home")).filter((name) => name.startsWith(".convocate"))).toEqual([]);
  }, 300_000);

  test("at any effect of an agent that dies leaves the source whole, and once more completes it", async () => {
    await migrateOrphan(id, source(), agent);
    const effects = agent.effects.length;
    expect(effects).toBeGreaterThan(3);
    for (let at = 1; at <= effects; at++) {
      id = leave({ port: 0 });
      const before = contents(join(home, id));
      await agent.revive();
      agent.death = { at, when: "after" };
      await migrateOrphan(id, source(), agent, { patienceMs: 0 }).catch(() => undefined);
      await agent.revive();
      if (existsSync(join(home, id))) {
        expect(contents(join(home, id))).toBe(before);
        await migrateOrphan(id, source(), agent);
      }
      expect(contents(there())).toBe(before);
      expect(await listed()).toContain(id);
    }
  }, 300_000);

  test("while the source is removed is completed by once more, since its session.json goes last", async () => {
    const before = contents(join(home, id));
    const stuck = Object.assign(source(), {
      remove: async () => {
        rmSync(join(home, id, "src"), { recursive: true });
        throw new ConvocateError("IO_ERROR", "cut");
      },
    });
    await migrateOrphan(id, stuck, agent);
    expect(readFileSync(join(home, id, "session.json"), "utf8")).toContain(id);
    const { session, warnings } = await migrateOrphan(id, source(), agent);
    expect({ id: session.id, warnings }).toEqual({ id, warnings: [] });
    expect(readdirSync(home)).toEqual([]);
    expect(contents(there())).toBe(before);
  });
});

const params = {
  request_id: "request-other",
  protocol: "tcp",
  dns_name: null,
  limits: {},
  public: false,
  docker: false,
  start: false,
} as const;
