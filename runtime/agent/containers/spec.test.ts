import { describe, expect, test } from "@jest/globals";
import { sampleMetadata } from "../../../test/support/samples.js";
import { AgentSettings, SessionId } from "../../domain/index.js";
import type { Metadata } from "../sessions/metadata.js";
import type { ContainerSpec } from "./engine.js";
import { containerSpec, type Mount } from "./spec.js";

const id = SessionId.parse("0a1b2c3d-0000-4000-8000-000000000001");
const session = sampleMetadata({ id });

interface Host {
  shared?: Mount[];
  nameServers?: string[];
  ipv6?: boolean;
  hooks?: string;
}

function spec(change: Partial<Metadata> = {}, settings: object = {}, host: Host = {}): ContainerSpec {
  return containerSpec({
    session: { ...session, ...change },
    settings: AgentSettings.parse({ name: "a", ...settings }),
    image: "convocate:3.0.0",
    home: `/home/claude/${id}`,
    shared: [],
    nameServers: [],
    ipv6: false,
    ...host,
  });
}

describe("a session's container", () => {
  test("has the folder of its own hooks, and cannot write there", () => {
    const folder = `/run/convocate-agent/sessions/${id}`;
    const { HostConfig } = spec({}, {}, { hooks: folder });
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
    expect(plain.HostConfig).toMatchObject({
      CapDrop: ["ALL"],
      CapAdd: ["SETUID", "SETGID"],
      SecurityOpt: ["no-new-privileges"],
    });
    expect(plain.Env).toContain("CONVOCATE_SUDO=0");
  });

  test("mounts its home, what the host shares, and Docker's socket only when it was made with it", () => {
    expect(spec().HostConfig?.Mounts).toEqual([{ Type: "bind", Source: `/home/claude/${id}`, Target: "/home/claude" }]);
    const shared = [
      { source: "/home/claude/.ssh", target: "/home/claude/.ssh", readOnly: true },
      { source: "/home/claude/.claude/c", target: "/home/claude/.claude/c", readOnly: false },
    ];
    expect(spec({ docker: true }, {}, { shared }).HostConfig?.Mounts?.slice(1)).toEqual([
      { Type: "bind", Source: "/home/claude/.ssh", Target: "/home/claude/.ssh", ReadOnly: true },
      { Type: "bind", Source: "/home/claude/.claude/c", Target: "/home/claude/.claude/c" },
      { Type: "bind", Source: "/var/run/docker.sock", Target: "/var/run/docker.sock" },
    ]);
  });

  test("publishes its port on loopback only, unless it is public, and none when it has none", () => {
    expect(spec()).not.toHaveProperty("ExposedPorts");
    expect(spec({ public: true }).HostConfig).not.toHaveProperty("PortBindings");
    const published = spec({ port: 1001, protocol: "udp" });
    expect(published.ExposedPorts).toEqual({ "1001/udp": {} });
    expect(published.HostConfig?.PortBindings).toEqual({ "1001/udp": [{ HostIp: "127.0.0.1", HostPort: "1001" }] });
    const open = { port: 8080, public: true };
    expect(spec(open).HostConfig?.PortBindings).toEqual({ "8080/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }] });
    expect(spec(open, {}, { ipv6: true }).HostConfig?.PortBindings).toEqual({
      "8080/tcp": [
        { HostIp: "0.0.0.0", HostPort: "8080" },
        { HostIp: "::", HostPort: "8080" },
      ],
    });
  });

  test("asks the cluster's name servers, and logs to the journal under its own id", () => {
    expect(spec().HostConfig).not.toHaveProperty("Dns");
    expect(spec({}, {}, { nameServers: ["192.0.2.10", "192.0.2.1"] }).HostConfig?.Dns).toEqual([
      "192.0.2.10",
      "192.0.2.1",
    ]);
    expect(spec().HostConfig?.LogConfig).toEqual({
      Type: "journald",
      Config: { tag: id, labels: "convocate.session" },
    });
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
