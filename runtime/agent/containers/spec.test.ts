import { describe, expect, test } from "@jest/globals";
import { AgentSettings, SessionId } from "../../domain/index.js";
import type { Metadata } from "../sessions/metadata.js";
import type { ContainerSpec } from "./engine.js";
import { SHARED, containerSpec } from "./spec.js";

const id = SessionId.parse("0a1b2c3d-0000-4000-8000-000000000001");
const session: Metadata = {
  id,
  name: "one",
  port: 0,
  protocol: "tcp",
  dns_name: null,
  public: false,
  docker: false,
  restart_to_apply: false,
  limits: {},
  created_at: "2026-11-21T12:00:00.000Z",
  last_accessed_at: "2026-11-21T12:00:00.000Z",
  request_id: "request-1",
  started_before: false,
};

function spec(change: Partial<Metadata> = {}, settings: object = {}, shared = SHARED.slice(0, 0)): ContainerSpec {
  return containerSpec({
    session: { ...session, ...change },
    settings: AgentSettings.parse({ name: "a", ...settings }),
    image: "convocate:3.0.0",
    home: `/home/claude/${id}`,
    shared,
  });
}

describe("a session's container", () => {
  test("has the folder of its own hooks, and cannot write there", () => {
    const folder = `/run/convocate-agent/sessions/${id}`;
    const settings = AgentSettings.parse({ name: "a" });
    const { HostConfig } = containerSpec({ session, settings, image: "i", home: "/h", shared: [], hooks: folder });
    expect(HostConfig?.Mounts?.slice(1)).toEqual([
      { Type: "bind", Source: folder, Target: "/run/convocate", ReadOnly: true },
    ]);
  });

  test("is named and labelled by the session, and outlives its process", () => {
    expect(spec()).toMatchObject({
      name: `convocate-session-${id}`,
      Hostname: "convocate-0a1b2c3d",
      Image: "convocate:3.0.0",
      WorkingDir: "/home/claude",
      Labels: { "convocate.session": id },
      HostConfig: { Init: true, AutoRemove: false, RestartPolicy: { Name: "no" }, NetworkMode: "convocate" },
    });
  });

  test("lies in the slice, with the agent's limits where the session has none, and no swap", () => {
    expect(spec().HostConfig).toMatchObject({
      CgroupParent: "convocate-sessions.slice",
      Memory: 2 * 1024 ** 3,
      MemorySwap: 2 * 1024 ** 3,
      PidsLimit: 4096,
    });
    expect(spec().HostConfig).not.toHaveProperty("NanoCpus");
    const limited = spec({ limits: { cpus: 1.5, memory_bytes: 1024 ** 3, pids: 100 } });
    expect(limited.HostConfig).toMatchObject({
      NanoCpus: 1_500_000_000,
      Memory: 1024 ** 3,
      MemorySwap: 1024 ** 3,
      PidsLimit: 100,
    });
  });

  test("has Docker's capabilities less three with sudo, and no way to gain any without", () => {
    expect(spec().HostConfig).toMatchObject({ Privileged: false, CapDrop: ["NET_RAW", "MKNOD", "AUDIT_WRITE"] });
    expect(spec().HostConfig).not.toHaveProperty("CapAdd");
    expect(spec().Env).toContain("CONVOCATE_SUDO=1");
    const plain = spec({}, { session: { sudo: false } });
    expect(plain.HostConfig).toMatchObject({ CapDrop: ["ALL"], SecurityOpt: ["no-new-privileges"] });
    expect(plain.Env).toContain("CONVOCATE_SUDO=0");
  });

  test("mounts its home, and read-only what the host shares", () => {
    expect(spec().HostConfig?.Mounts).toEqual([{ Type: "bind", Source: `/home/claude/${id}`, Target: "/home/claude" }]);
    const mounts = spec({}, {}, [...SHARED]).HostConfig?.Mounts ?? [];
    expect(mounts.slice(1)).toEqual([
      { Type: "bind", Source: "/home/claude/.claude", Target: "/home/claude/.claude-shared", ReadOnly: true },
      { Type: "bind", Source: "/home/claude/.ssh", Target: "/home/claude/.ssh", ReadOnly: true },
      { Type: "bind", Source: "/home/claude/.gitconfig", Target: "/home/claude/.gitconfig", ReadOnly: true },
    ]);
  });

  test("publishes its port on loopback only, and none when it has none", () => {
    expect(spec()).not.toHaveProperty("ExposedPorts");
    expect(spec().HostConfig).not.toHaveProperty("PortBindings");
    const published = spec({ port: 1001, protocol: "udp" });
    expect(published.ExposedPorts).toEqual({ "1001/udp": {} });
    expect(published.HostConfig?.PortBindings).toEqual({ "1001/udp": [{ HostIp: "127.0.0.1", HostPort: "1001" }] });
  });

  test("knows who it is, and whether it ran before; the agent's settings cannot change that", () => {
    const env = spec({}, { uid: 1400, gid: 1500, session: { env: { A: "b=c", CONVOCATE_UID: "0" } } }).Env ?? [];
    expect(env).toEqual(
      expect.arrayContaining([
        "A=b=c",
        "CONVOCATE_UID=1400",
        "CONVOCATE_GID=1500",
        "CONVOCATE_USER=claude",
        `CONVOCATE_SESSION_ID=${id}`,
        "CONVOCATE_SESSION_NAME=one",
      ]),
    );
    expect(env.filter((one) => one.startsWith("CONVOCATE_UID"))).toHaveLength(1);
    expect(env.some((one) => one.startsWith("CONVOCATE_RESUME"))).toBe(false);
    expect(spec({ started_before: true }).Env).toContain("CONVOCATE_RESUME=1");
  });
});
