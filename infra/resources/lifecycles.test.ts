import { describe, expect, test } from "@jest/globals";
import type { Connection } from "../connection/types.js";
import { sha256 } from "../host/files.js";
import { rulesUnit } from "../host/session-firewall.js";
import { newAuthority, newCertificate } from "../host/certificates.js";
import { agentsArgv } from "../host/agents.js";
import { seenOf } from "./agent-ready/lifecycle.js";
import { certificate } from "./certificate/lifecycle.js";
import { files } from "./files/lifecycle.js";
import { firewall } from "./firewall/lifecycle.js";
import { Answers } from "./answers.js";
import { lifecycles } from "./index.js";
import type { LifecycleContext } from "./lifecycle.js";
import { rulesFor, sessionFirewall } from "./session-firewall/lifecycle.js";
import { quotaPercent, slice, sliceFile, sliceLimits } from "./slice/lifecycle.js";
import { unit } from "./unit/lifecycle.js";

const host = "h";
const paths = (differences: readonly { path: string }[]): string[] => differences.map(({ path }) => path);

test("no two kinds have one name", () => {
  const kinds = lifecycles.map(({ kind }) => kind);
  expect(new Set(kinds).size).toBe(kinds.length);
});

describe("Files", () => {
  const inputs = files.inputs.parse({
    host,
    files: { "/etc/a": { type: "file", content: "x", mode: "644" }, "/etc/d": { type: "directory", mode: "0750" } },
  });
  const a = { type: "file", mode: "0644", owner: "root", group: "root", sha256: sha256("x") } as const;
  const d = { type: "directory", mode: "0750", owner: "root", group: "root" } as const;
  const state = { host: inputs.host, files: { "/etc/a": a, "/etc/d": d }, declared: "", pending: false, reload: [] };

  test("as declared have no difference", () => {
    expect(files.diff(state, inputs)).toEqual([]);
  });

  test("are named with what differs: content, mode, owner, type, missing, and what is declared no more", () => {
    const seen = {
      ...state,
      files: {
        "/etc/a": { ...a, sha256: sha256("y"), mode: "0600", owner: "claude" },
        "/etc/d": { ...a },
        "/etc/old": a,
      },
    };
    expect(paths(files.diff(seen, inputs))).toEqual([
      'files["/etc/a"].mode',
      'files["/etc/a"].owner',
      'files["/etc/a"].content',
      'files["/etc/d"].type',
      'files["/etc/old"]',
    ]);
    expect(paths(files.diff({ ...state, files: { "/etc/d": d } }, inputs))).toEqual(['files["/etc/a"].missing']);
  });

  test.each(["relative", "/etc/../x", "/etc/a b"])("at the path %j are refused before anything happens", (path) => {
    const bad = { host, files: { [path]: { type: "file", content: "", mode: "0644" } } };
    expect(files.inputs.safeParse(bad).success).toBe(false);
  });
});

test("what is of another release than a host is held at is not brought there, at a first installation or over drift", async () => {
  const held = { at: "2.9.1", checkout: "3.0.0" };
  const inputs = {
    Program: { host, program: "convocate-agent", release: "3.0.0", nodeVersion: "24.0.0", files: {}, held },
    Runtime: { host, version: "24.0.0", held },
    ImagePush: { host, tag: "convocate:3.0.0", imageId: `sha256:${"0".repeat(64)}`, layers: [], held },
  };
  const pool = { connect: () => Promise.reject(new Error("the host was dialled")) };
  for (const [kind, values] of Object.entries(inputs)) {
    const lifecycle = lifecycles.find((one) => one.kind === kind)!;
    const context = { pool } as unknown as LifecycleContext;
    const parsed = lifecycle.inputs.parse(values);
    const refused = {
      code: "REFUSED",
      message: expect.stringMatching(
        /^h is held at 2\.9\.1 by the inventory, .* which is 3\.0\.0: .* checkout of 2\.9\.1, or change or remove its release/,
      ),
    };
    await expect(lifecycle.create(parsed, context)).rejects.toMatchObject(refused);
    await expect(lifecycle.update({}, parsed, context)).rejects.toMatchObject(refused);
  }
});

test("Unit tells a changed trigger by its name, and a stopped service from a changed file", () => {
  const inputs = unit.inputs.parse({ host, unit: "x.service", content: "c", triggers: { release: "2", node: "1" } });
  const state = {
    host: inputs.host,
    unit: "x.service",
    content: sha256("c"),
    enabled: true,
    running: true,
    needsReload: false,
    triggers: { release: "1", node: "1", old: "" },
  };
  expect(paths(unit.diff(state, inputs))).toEqual(["triggers.old", "triggers.release"]);
  expect(paths(unit.diff({ ...state, triggers: inputs.triggers, running: false }, inputs))).toEqual(["running"]);
});

describe("Slice", () => {
  const totals = { cpus: 8, memoryBytes: 10_000_000_000 };

  test("takes its share of all processors, and of memory in bytes", () => {
    expect(sliceLimits(totals, { cpuPercent: 90, memoryPercent: 90 })).toEqual({
      cpuQuota: "720%",
      memoryMax: "9000000000",
    });
    expect(sliceFile({ cpuQuota: "720%", memoryMax: "9000000000" })).toMatch(/\nCPUQuota=720%\nMemoryMax=9000000000\n/);
  });

  test.each([
    ["1.800000s", "180%"],
    ["900ms", "90%"],
    ["1min 30s", "9000%"],
    ["infinity", "infinity"],
  ])("reads systemd's %s as %s", (printed, percent) => expect(quotaPercent(printed)).toBe(percent));

  test("differs when the host got more memory, although nobody changed a word", () => {
    const inputs = slice.inputs.parse({ host, slice: "a.slice", cpuPercent: 90, memoryPercent: 90 });
    const limits = sliceLimits(totals, inputs);
    const state = { ...inputs, ...totals, ...limits, content: sha256(sliceFile(limits)), running: true };
    expect(slice.diff(state, inputs)).toEqual([]);
    expect(paths(slice.diff({ ...state, memoryBytes: 2 * totals.memoryBytes }, inputs))).toEqual([
      "content",
      "memoryMax",
    ]);
  });
});

test("SessionFirewall differs by what was declared, by the host's name servers, and by rules that somebody changed", () => {
  const inputs = sessionFirewall.inputs.parse({
    host,
    egress: ["10.1.0.0/16"],
    nameServers: ["192.0.2.10"],
    dnsHere: false,
    doors: [222],
    otherDoors: [],
  });
  const state = {
    ...inputs,
    resolvers: ["10.0.0.1"],
    content: sha256(rulesFor(inputs, ["10.0.0.1"])),
    unit: sha256(rulesUnit),
    enabled: true,
    running: true,
    expected: "a",
    loaded: "a",
  };
  expect(sessionFirewall.diff(state, inputs)).toEqual([]);
  expect(paths(sessionFirewall.diff(state, { ...inputs, egress: [] }))).toEqual(["egress"]);
  expect(paths(sessionFirewall.diff({ ...state, resolvers: ["10.0.0.2"] }, inputs))).toEqual(["content"]);
  expect(paths(sessionFirewall.diff({ ...state, loaded: "b", running: false, unit: "missing" }, inputs))).toEqual([
    "unit",
    "running",
    "loaded",
  ]);
});

describe("Firewall", () => {
  /** A host that is dialled at a port, with sshd at some and open ports; it remembers what ufw was told. */
  function hostWith(port: number, sshPorts: number[], open: number[]): { told: string[]; context: LifecycleContext } {
    const told: string[] = [];
    const tuples = open.map((one) => `### tuple ### allow tcp ${one} 0.0.0.0/0 any 0.0.0.0/0 in\n`);
    const stdout = `active\n---\n${tuples.join("")}---\n${sshPorts.join("\n")}\n`;
    const connection: Pick<Connection, "host" | "run"> = {
      host: { via: "ssh", name: host, address: "192.0.2.1", port, user: "root", hostKeys: [] },
      run: (argv) => {
        if (argv[0] === "ufw") told.push(argv.join(" "));
        return Promise.resolve({ stdout, stderr: "", exitCode: 0 });
      },
    };
    const pool = { connect: () => Promise.resolve(connection as Connection) };
    const context = { pool, signal: new AbortController().signal, answers: new Answers(), progress: () => undefined };
    return { told, context };
  }
  const state = {
    host,
    active: true,
    allow: ["22/tcp", "222/tcp"],
    before: { active: false, allowed: [], sshPorts: [] },
  };

  test.each<[string, number, number[]]>([
    ["22 when the dialled port becomes another", 2222, [22]],
    ["22 although sshd is not found there", 2222, [2222]],
    ["a port of sshd's that is dialled no more", 22, [22, 222]],
  ])("never closes %s", async (_, dialled, sshPorts) => {
    const { told, context } = hostWith(dialled, sshPorts, [22, 222]);
    const inputs = firewall.inputs.parse({ host, allow: [`${dialled}/tcp`, "223/tcp"] });
    await firewall.update(state, inputs, context);
    const deleted = told.filter((line) => line.includes("delete"));
    expect(deleted).toEqual(sshPorts.includes(222) ? [] : ["ufw --force delete allow 222/tcp"]);
  });

  test("leaves every port of sshd's open when it is taken away", async () => {
    const { told, context } = hostWith(2222, [22, 222], [22, 222]);
    await firewall.delete({ ...state, allow: ["22/tcp", "222/tcp", "223/tcp"] }, context);
    expect(told).toEqual(["ufw --force delete allow 223/tcp"]);
  });
});

test("Certificate is made anew with under 60 days left, for another name, and for another authority", async () => {
  // Short keys: a real one takes seconds to find on a busy machine.
  const authority = await newAuthority("one", 1024);
  const inputs = { authority, commonName: "agent-1", usage: "client" as const };
  const issued = await newCertificate(authority, "agent-1", "client", 1024);
  const state = { commonName: "agent-1", usage: "client" as const, ...issued };
  expect(certificate.diff(state, inputs)).toEqual([]);
  expect(paths(certificate.diff(state, { ...inputs, commonName: "agent-2" }))).toEqual(["commonName"]);
  const other = await newCertificate(await newAuthority("two", 1024), "agent-1", "client", 1024);
  expect(paths(certificate.diff({ ...state, ...other }, inputs))).toEqual(["authority"]);
  const realNow = Date.now;
  Date.now = () => realNow() + 310 * 86_400_000;
  try {
    expect(paths(certificate.diff(state, inputs))).toEqual(["notAfter"]);
  } finally {
    Date.now = realNow;
  }
}, 60_000);

test("an agent is ready when it is connected and says its release; rubbish on stdout is no answer", () => {
  const agents = [{ id: "aaaaaaaa", name: "x", connection: { state: "connected", since: 1 }, release: "3", more: 1 }];
  const stdout = JSON.stringify({ agents });
  expect(seenOf(stdout, "aaaaaaaa")).toEqual({ reachable: true, runningRelease: "3" });
  expect(seenOf(stdout, "bbbbbbbb")).toEqual({ reachable: false, runningRelease: "" });
  expect(seenOf("convocate: broken", "aaaaaaaa")).toEqual({ reachable: false, runningRelease: "" });
  expect(agentsArgv("claude", ["aaaaaaaa"], 5).slice(4)).toEqual([
    "/usr/local/bin/convocate",
    "agents",
    "aaaaaaaa",
    "--wait",
    "5",
    "--json",
  ]);
});
