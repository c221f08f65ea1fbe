import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { nameServers, parseResolvers, sharedMounts } from "./mounts.js";

let root: string;
let host: string;
const owner = { uid: process.getuid!(), gid: process.getgid!() };
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-mounts-"));
  host = join(root, "host");
  mkdirSync(host);
});
afterEach(() => rmSync(root, { recursive: true }));

const login = (): void => {
  mkdirSync(join(host, ".claude"));
  writeFileSync(join(host, ".claude/.credentials.json"), "{}");
};

describe("what a host shares", () => {
  test("is nothing where nothing is", async () => {
    expect(await sharedMounts(host, owner)).toEqual({ mounts: [], points: [] });
  });

  test("is read-only, but for the login, which sessions refresh", async () => {
    login();
    mkdirSync(join(host, ".ssh"));
    writeFileSync(join(host, ".gitconfig"), "");
    mkdirSync(join(host, ".local/bin"), { recursive: true });
    writeFileSync(join(host, "claude-2.1"), "\x7fELF and so on");
    chmodSync(join(host, "claude-2.1"), 0o755);
    symlinkSync("../../claude-2.1", join(host, ".local/bin/claude"));
    const { mounts, points } = await sharedMounts(host, owner);
    expect(mounts).toEqual([
      { source: join(host, ".claude"), target: "/home/claude/.claude-shared", readOnly: true },
      { source: join(host, ".ssh"), target: "/home/claude/.ssh", readOnly: true },
      { source: join(host, ".gitconfig"), target: "/home/claude/.gitconfig", readOnly: true },
      { source: join(host, ".convocate-login"), target: "/home/claude/.claude-login", readOnly: false },
      {
        source: join(host, ".claude/.credentials.json"),
        target: "/home/claude/.claude-login/.credentials.json",
        readOnly: false,
      },
      { source: join(host, "claude-2.1"), target: "/usr/local/bin/claude", readOnly: true },
    ]);
    expect(points).toEqual([
      { path: ".claude-shared", directory: true },
      { path: ".ssh", directory: true },
      { path: ".gitconfig", directory: false },
      { path: ".claude-login", directory: true },
    ]);
  });

  test("is left out where it is a link or of another kind, and so is a CLI that is a script", async () => {
    mkdirSync(join(host, ".gitconfig"));
    symlinkSync("/etc", join(host, ".ssh"));
    mkdirSync(join(host, ".local/bin"), { recursive: true });
    writeFileSync(join(host, ".local/bin/claude"), "#!/usr/bin/env node\n");
    expect((await sharedMounts(host, owner)).mounts).toEqual([]);
    rmSync(join(host, ".local/bin/claude"));
    symlinkSync("gone", join(host, ".local/bin/claude"));
    expect((await sharedMounts(host, owner)).mounts).toEqual([]);
  });

  test("has its login in a folder that all sessions share, because the CLI's lock goes there, too", async () => {
    login();
    await sharedMounts(host, owner);
    expect(statSync(join(host, ".convocate-login")).mode & 0o777).toBe(0o700);
    writeFileSync(join(host, ".convocate-login/.oauth_refresh.lock"), "");
    await sharedMounts(host, owner);
    expect(readdirSync(join(host, ".convocate-login"))).toEqual([".credentials.json", ".oauth_refresh.lock"]);
    // Where Docker mounts the host's; the file below stays empty.
    expect(statSync(join(host, ".convocate-login/.credentials.json"))).toMatchObject({ size: 0 });
  });

  test("has no login where a link is in its folder's place", async () => {
    login();
    symlinkSync("/etc", join(host, ".convocate-login"));
    expect((await sharedMounts(host, owner)).mounts.map(({ target }) => target)).toEqual([
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
