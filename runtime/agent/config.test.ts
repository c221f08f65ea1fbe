import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { agentPaths } from "../domain/index.js";
import { imageReader, readIdentity, readShellDoor, type AgentPaths } from "./config.js";

let root: string;
let paths: AgentPaths;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "convocate-config-"));
  paths = {
    ...agentPaths,
    agentId: join(root, "agent-id"),
    settings: join(root, "settings.json"),
    currentImage: join(root, "current-image"),
    shellHost: join(root, "shell-host"),
    agentToShellKey: join(root, "key"),
    shellHostKey: join(root, "host-key"),
  };
});
afterEach(() => rmSync(root, { recursive: true }));

describe("the agent's files", () => {
  test("say who it is, with defaults for what the settings leave out", async () => {
    writeFileSync(paths.agentId, "abcd1234\n");
    writeFileSync(paths.settings, '{"name":"one","uid":1400}');
    expect(await readIdentity(paths)).toMatchObject({
      agentId: "abcd1234",
      // A file of an earlier release has neither reserved ports nor labels.
      settings: {
        name: "one",
        uid: 1400,
        gid: 1337,
        reserved_ports: [22, 53, 222, 223, 514],
        labels: {},
        session: { sudo: true },
      },
    });
  });

  test("that are missing or wrong are named, with what to do", async () => {
    await expect(readIdentity(paths)).rejects.toMatchObject({
      code: "IO_ERROR",
      message: expect.stringMatching(/agent-id is missing: run `convocate-host init-agent`/),
    });
    writeFileSync(paths.agentId, "NOT AN ID");
    await expect(readIdentity(paths)).rejects.toThrow(/agent-id: it must hold 8 characters/);
    writeFileSync(paths.agentId, "abcd1234");
    writeFileSync(paths.settings, "{");
    await expect(readIdentity(paths)).rejects.toThrow(/settings.json is not JSON/);
    writeFileSync(paths.settings, '{"name":"one","uid":0}');
    await expect(readIdentity(paths)).rejects.toThrow(/settings.json: uid: /);
  });

  test("name the current image as it is at each use, also where it is replaced by one as long; none is null", () => {
    const image = imageReader(paths);
    expect(image()).toBeNull();
    writeFileSync(paths.currentImage, "convocate:3.0.0\n");
    expect([image(), image()]).toEqual(["convocate:3.0.0", "convocate:3.0.0"]);
    writeFileSync(`${paths.currentImage}.part`, "convocate:3.0.1\n");
    renameSync(`${paths.currentImage}.part`, paths.currentImage);
    expect(image()).toBe("convocate:3.0.1");
    writeFileSync(paths.currentImage, "\n");
    expect(image()).toBeNull();
    rmSync(paths.currentImage);
    mkdirSync(paths.currentImage);
    expect(image()).toBeNull();
  });

  test("say where the shell is and which key it must have", async () => {
    writeFileSync(paths.shellHost, "shell:2230\n");
    writeFileSync(paths.agentToShellKey, "PRIVATE");
    writeFileSync(paths.shellHostKey, "ssh-ed25519 AAAA\n");
    expect(await readShellDoor(paths)).toEqual({
      host: "shell",
      port: 2230,
      privateKey: "PRIVATE",
      hostKey: "ssh-ed25519 AAAA",
    });
  });
});
