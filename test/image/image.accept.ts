import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { build, BUILD_MS, ClaudeImage, IMAGE, KEY, ready } from "./claude-image.js";
import { docker, eventually, type Session, type SessionOptions } from "./session.js";

jest.setTimeout(120_000);
let image: ClaudeImage;

beforeAll(async () => {
  image = await ClaudeImage.open();
}, BUILD_MS);
afterAll(async () => {
  await image[Symbol.asyncDispose]();
});

describe("building the image", () => {
  test("prints the image's id and nothing else, and the same one again when nothing changed", async () => {
    const before = Date.now();
    const printed = await build();
    expect(Date.now() - before).toBeLessThan(10_000);
    expect(printed).toBe(`${await docker("image", "inspect", "--format", "{{.Id}}", IMAGE)}\n`);
    expect(await build()).toBe(printed);
  });

  test("refuses bad usage with exit code 2", async () => {
    for (const args of [["build"], ["build", "--tag", "no-tag"], ["build", "--tag", "a:b", "--what"], []]) {
      await expect(promisify(execFile)("script/image", args)).rejects.toMatchObject({ code: 2, stdout: "" });
    }
  });

  test("leaves nothing of the machine in the image, and the CLI in a layer of its own", async () => {
    const left =
      "ls -A /etc/apt/apt.conf.d/00build /usr/sbin/policy-rc.d /var/lib/apt/lists/*Packages* 2>/dev/null || true";
    expect(await docker("run", "--rm", "--entrypoint", "sh", IMAGE, "-c", left)).toBe("");
    expect(await docker("run", "--rm", "--entrypoint", "cat", IMAGE, "/etc/machine-id")).toBe("");
    const layers = (await docker("history", "--no-trunc", "--format", "{{.Size}} {{.CreatedBy}}", IMAGE)).split("\n");
    expect(layers.join("\n")).not.toMatch(/proxy/i);
    // What lies above the CLI is small, so that a change to a script sends no CLI.
    const cli = layers.findIndex((layer) => layer.includes("/usr/local/bin/claude"));
    const above = layers.slice(0, cli).map((layer) => layer.split(" ")[0] ?? "");
    expect(above.length).toBeGreaterThan(2);
    for (const size of above) expect(size).toMatch(/^[\d.]+k?B$/);
  });
});

describe("the session's user", () => {
  const unprivileged = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
  // Of every process of that name: the CLI is two of them for as long as it begins a hook.
  const capabilities = (session: Session) =>
    session.exec(
      "sh",
      "-c",
      "for pid in $(pgrep -x claude); do grep -h CapEff /proc/$pid/status; done 2>/dev/null | tr -d '\\t' | sort -u",
    );

  test("has the uid, gid and name that the host says", async () => {
    const env = { CONVOCATE_UID: "2001", CONVOCATE_GID: "2002", CONVOCATE_USER: "ops" };
    await using session = await image.start({ uid: 2001, prepare: "chown 2001:2002 .", env });
    await ready(await session.attach());
    expect(await session.exec("id")).toBe("uid=2001(ops) gid=2002(ops) groups=2002(ops)");
    expect(await session.exec("stat", "-c", "%u:%g %a", "/home/claude/.claude.json")).toBe("2001:2002 600");
  });

  test("may use sudo when the session says so, and not otherwise", async () => {
    const args = ["NET_RAW", "MKNOD", "AUDIT_WRITE"].flatMap((capability) => ["--cap-drop", capability]);
    await using allowed = await image.start({ env: { CONVOCATE_SUDO: "1" }, args });
    await ready(await allowed.attach());
    expect(await allowed.exec("sudo", "-n", "id", "-u")).toBe("0");
    await using denied = await image.start();
    await ready(await denied.attach());
    await expect(denied.exec("sudo", "-n", "id", "-u")).rejects.toThrow("password is required");
  });

  test("runs Claude with no capability when all are dropped but the two that change the user", async () => {
    await using session = await image.start({ args: [...unprivileged, "--cap-add", "SETUID", "--cap-add", "SETGID"] });
    await ready(await session.attach());
    expect(await capabilities(session)).toBe("CapEff:0000000000000000");
    await docker("stop", session.name);
    expect(await session.inspect("{{.State.ExitCode}}")).toBe("0");
  });

  test("can be the container's own user, with no capability anywhere", async () => {
    await using session = await image.start({ args: [...unprivileged, "--user", "1337:1337"] });
    await ready(await session.attach());
    expect(await capabilities(session)).toBe("CapEff:0000000000000000");
  });

  test("is told what is wrong when the home is not his, or the settings make no sense", async () => {
    const refusal = async (options: Partial<SessionOptions>) => {
      await using session = await image.start(options);
      await eventually("the container ends", async () => (await session.inspect("{{.State.Running}}")) === "false");
      expect(await session.inspect("{{.State.ExitCode}}")).toBe("1");
      const { stderr } = await promisify(execFile)("docker", ["logs", session.name]);
      return stderr;
    };
    expect(await refusal({ prepare: "chown 0:0 ." })).toContain(
      "/home/claude cannot be written by uid 1337: on the host",
    );
    expect(await refusal({ env: { CONVOCATE_UID: "0" } })).toContain("CONVOCATE_UID must be a number from 1 up: 0");
    expect(await refusal({ env: { CONVOCATE_USER: "a:b" } })).toContain("CONVOCATE_USER is not a user name: a:b");
    expect(await refusal({ args: unprivileged })).toContain("cannot become uid 1337: create the container with");
  });
});

describe("seeding the home", () => {
  const tmuxRuns = (session: Session) =>
    eventually("tmux runs", () =>
      session.exec("tmux", "has-session").then(
        () => true,
        () => false,
      ),
    );

  test("adds what keeps dialogs away and overwrites nothing that the user has", async () => {
    const own = {
      theme: "light",
      hasCompletedOnboarding: true,
      projects: { "/home/claude": { allowedTools: ["x"] }, "/elsewhere": { hasTrustDialogAccepted: false } },
      customApiKeyResponses: { approved: ["another"], rejected: ["refused"] },
    };
    await using session = await image.start({
      prepare: `echo '${JSON.stringify(own)}' >.claude.json; chown 1337:1337 .claude.json`,
    });
    await ready(await session.attach());
    expect(JSON.parse(await session.exec("cat", "/home/claude/.claude.json"))).toMatchObject({
      ...own,
      projects: { ...own.projects, "/home/claude": { allowedTools: ["x"], hasTrustDialogAccepted: true } },
      customApiKeyResponses: { approved: ["another", KEY.slice(-20)], rejected: ["refused"] },
    });
  });

  test("takes the host's login when the session has none, and keeps the session's own", async () => {
    const shared = (own: string) =>
      `mkdir .claude-shared .claude; echo host >.claude-shared/.credentials.json; ${own} chown -R 1337:1337 .claude .claude-shared`;
    const credentials = (session: Session) =>
      session.exec("sh", "-c", "cd /home/claude/.claude && stat -c %a .credentials.json && cat .credentials.json");
    await using without = await image.start({ prepare: shared("") });
    await tmuxRuns(without);
    expect(await credentials(without)).toBe("600\nhost");
    await using withOwn = await image.start({ prepare: shared("echo own >.claude/.credentials.json;") });
    await tmuxRuns(withOwn);
    expect(await credentials(withOwn)).toMatch(/own$/);
  });

  test("leaves a file alone that is not JSON", async () => {
    await using session = await image.start({ prepare: "echo '{broken' >.claude.json; chown 1337:1337 .claude.json" });
    await tmuxRuns(session);
    const { stderr } = await promisify(execFile)("docker", ["logs", session.name]);
    expect(stderr).toContain("the home is not seeded");
  });
});
