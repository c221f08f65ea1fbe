import { beforeAll, expect, test } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestClient } from "../../test/support/client.js";
import { tempDir } from "../../test/support/keys.js";

let scripts: Record<"bash" | "zsh" | "fish", string>;
beforeAll(async () => {
  using dir = tempDir();
  const client = new TestClient(dir.path);
  const script = async (shell: string): Promise<string> => (await client.run("completion", shell)).out[0] ?? "";
  scripts = { bash: await script("bash"), zsh: await script("zsh"), fish: await script("fish") };
});

/** A shell that has read its script; `convocate` itself is a stand-in that knows two names. */
function inShell(shell: keyof typeof scripts, argv: (script: string) => string[]): string[] {
  const dir = mkdtempSync(join(tmpdir(), "convocate-completion-"));
  try {
    writeFileSync(
      join(dir, "convocate"),
      '#!/bin/sh\ncase "$2" in sessions) echo alpha; echo beta ;; agents) echo agent-1 ;; esac\n',
    );
    chmodSync(join(dir, "convocate"), 0o755);
    writeFileSync(join(dir, "script"), scripts[shell]);
    const env = { PATH: `${dir}:${process.env["PATH"] ?? ""}`, HOME: dir };
    const out = execFileSync(shell, argv(join(dir, "script")), {
      encoding: "utf8",
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    return out.split("\n").filter((word) => word !== "");
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** What bash offers after these words, the last of which is being typed. */
function offered(...words: string[]): string[] {
  const ask = `source "$1"; shift; COMP_WORDS=(convocate "$@"); COMP_CWORD=$#; _convocate; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return inShell("bash", (script) => ["--norc", "-c", ask, "-", script, ...words]);
}

test("bash completes verbs, options of a verb, values of an option and names of sessions", () => {
  expect(offered("res")).toEqual(["restart"]);
  expect(offered("migrate")).toEqual([]);
  expect(offered("kill", "")).toEqual(["alpha", "beta"]);
  expect(offered("kill", "-")).toEqual(["--json", "--help"]);
  expect(offered("ls", "")).toEqual(["--watch", "--json", "--help"]);
  for (const before of [["new", "x", "--agent"], ["move", "x", "--to"], ["clone", "x", "y", "--to"], ["agents"]])
    expect(offered(...before, "")).toEqual(["agent-1"]);
  expect(offered("kill", "al")).toEqual(["alpha"]);
  expect(offered("ls", "--w")).toEqual(["--watch"]);
  expect(offered("new", "x", "--protocol", "u")).toEqual(["udp"]);
  expect(offered("completion", "f")).toEqual(["fish"]);
  expect(offered("events", "--since", "")).toEqual([]);
  expect(offered("new", "x", "--la")).toEqual(["--label"]);
  expect(offered("new", "x", "--label", "")).toEqual([]);
});

test("zsh goes on with options after an argument that it cannot complete", () => {
  for (const verb of ["new", "clone", "kill"])
    expect(scripts.zsh).toMatch(new RegExp(`^ +${verb}\\) .* '\\*: : ' ;;$`, "m"));
});

test("a shell that has no script is answered with those that have one", async () => {
  using dir = tempDir();
  const { error } = await new TestClient(dir.path).run("completion", "tcsh");
  expect(String(error)).toContain("it must be one of bash, zsh, fish");
});

test("zsh takes its script", () => {
  expect(inShell("zsh", (script) => ["-f", "-n", script])).toEqual([]);
});

test("fish completes the same, and says of each what it does, as --help says it", () => {
  const fish = (line: string): string[] =>
    inShell("fish", (script) => ["--no-config", "-c", `source ${script}; complete -C '${line}'`]);
  expect(fish("convocate kil")).toEqual(["kill\tstop a session's container: 10 s of grace, then SIGKILL"]);
  expect(fish("convocate kill ")).toEqual(["alpha", "beta"]);
  expect(fish("convocate new x --agent ").map((line) => line.split("\t")[0])).toEqual(["agent-1"]);
  expect(fish("convocate ls --w").map((line) => line.split("\t")[0])).toEqual(["--watch"]);
});

test("every verb and every option is in each shell's script", () => {
  for (const shell of ["bash", "zsh", "fish"] as const)
    for (const word of ["attach", "override", "settings", "read-only", "force", "sessions", "agents"])
      expect({ shell, word, has: scripts[shell].includes(word) }).toEqual({ shell, word, has: true });
});
