import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { nameServers, parseResolvers, sharedMounts } from "./mounts.js";

let root: string;
let host: string;
let home: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-mounts-"));
  host = join(root, "host");
  home = join(root, "home");
  mkdirSync(host);
  mkdirSync(home);
});
afterEach(() => rmSync(root, { recursive: true }));

const login = (): void => {
  mkdirSync(join(host, ".claude"));
  writeFileSync(join(host, ".claude/.credentials.json"), "{}");
};

describe("what a host shares", () => {
  test("is nothing where nothing is", async () => {
    expect(await sharedMounts(host, home)).toEqual({ mounts: [], points: [] });
  });

  test("is read-only, but for the login, which sessions refresh", async () => {
    login();
    mkdirSync(join(host, ".ssh"));
    writeFileSync(join(host, ".gitconfig"), "");
    mkdirSync(join(host, ".local/bin"), { recursive: true });
    writeFileSync(join(host, "claude-2.1"), "\x7fELF and so on");
    chmodSync(join(host, "claude-2.1"), 0o755);
    symlinkSync("../../claude-2.1", join(host, ".local/bin/claude"));
    const { mounts, points } = await sharedMounts(host, home);
    expect(mounts).toEqual([
      { source: join(host, ".claude"), target: "/home/claude/.claude-shared", readOnly: true },
      { source: join(host, ".ssh"), target: "/home/claude/.ssh", readOnly: true },
      { source: join(host, ".gitconfig"), target: "/home/claude/.gitconfig", readOnly: true },
      {
        source: join(host, ".claude/.credentials.json"),
        target: "/home/claude/.claude/.credentials.json",
        readOnly: false,
      },
      { source: join(host, "claude-2.1"), target: "/usr/local/bin/claude", readOnly: true },
    ]);
    expect(points).toEqual([
      { path: ".claude-shared", directory: true },
      { path: ".ssh", directory: true },
      { path: ".gitconfig", directory: false },
      { path: ".claude", directory: true },
      { path: ".claude/.credentials.json", directory: false },
    ]);
  });

  test("is left out where it is a link or of another kind, and so is a CLI that is a script", async () => {
    mkdirSync(join(host, ".gitconfig"));
    symlinkSync("/etc", join(host, ".ssh"));
    mkdirSync(join(host, ".local/bin"), { recursive: true });
    writeFileSync(join(host, ".local/bin/claude"), "#!/usr/bin/env node\n");
    expect((await sharedMounts(host, home)).mounts).toEqual([]);
    rmSync(join(host, ".local/bin/claude"));
    symlinkSync("gone", join(host, ".local/bin/claude"));
    expect((await sharedMounts(host, home)).mounts).toEqual([]);
  });

  test("has no login for a session that put a link where its folder would be", async () => {
    login();
    symlinkSync("/etc", join(home, ".claude"));
    expect((await sharedMounts(host, home)).mounts.map(({ target }) => target)).toEqual([
      "/home/claude/.claude-shared",
    ]);
  });
});

describe("name servers", () => {
  test("are IPv4 ones that a container can reach", () => {
    const text =
      "# nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver 192.168.1.1 \nnameserver ::1\nsearch lan\nnameserver\t8.8.8.8\n";
    expect(parseResolvers(text)).toEqual(["192.168.1.1", "8.8.8.8"]);
    expect(parseResolvers("")).toEqual([]);
  });

  test("are the cluster's first, then the host's own, three at most; Docker's choice without any of the cluster's", async () => {
    const file = join(root, "resolv.conf");
    writeFileSync(file, "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n");
    const missing = join(root, "missing");
    expect(await nameServers(["192.0.2.10"], null, [missing, file])).toEqual(["192.0.2.10", "10.0.0.1", "10.0.0.2"]);
    expect(await nameServers(["gateway"], "172.18.0.1", [file])).toEqual(["172.18.0.1", "10.0.0.1", "10.0.0.2"]);
    expect(await nameServers(["gateway"], null, [file])).toEqual([]);
    expect(await nameServers([], "172.18.0.1", [file])).toEqual([]);
    expect(await nameServers(["192.0.2.10"], null, [missing])).toEqual(["192.0.2.10"]);
  });
});
