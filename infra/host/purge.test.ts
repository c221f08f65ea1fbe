import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { testFolder } from "../../test/support/inventory.js";
import type { Connection } from "../connection/types.js";
import { HOMES, stopSessions } from "./purge.js";
import { runScript } from "./script.js";

const { path: folder, file } = testFolder();
const id = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9";

/** Runs scripts on this machine, where `docker` and `getent` are ours. */
const here: Pick<Connection, "host" | "run"> = {
  host: { via: "local", name: "here" },
  run: ([command = "", ...args]) => {
    const env = { PATH: `${folder}:${process.env["PATH"] ?? ""}`, FOLDER: folder };
    const { stdout, stderr, status } = spawnSync(command, args, { env, encoding: "utf8" });
    return Promise.resolve({ stdout, stderr, exitCode: status ?? 1 });
  },
};
const tool = (name: string, script: string): void => chmodSync(file(name, `#!/bin/sh\n${script}\n`), 0o755);

test("sessions of convocate 2, which have no label, are stopped with the others, each once", async () => {
  tool(
    "docker",
    `case "$*" in
  "ps --quiet --filter label=convocate.session") echo new; echo both ;;
  "ps --quiet --filter name=^/?convocate-session-"*) echo both; echo old ;;
  *) echo "$*" >>"$FOLDER/told" ;;
esac`,
  );
  await stopSessions(here as Connection);
  expect(readFileSync(join(folder, "told"), "utf8")).toBe("stop --time 10 both new old\n");
});

test("sessions' homes go, and nothing else of the service user's; nothing at all in a home that is not its own", async () => {
  const home = join(folder, "home");
  for (const name of [id, `${id}.new`, "notes", ".ssh", `notes/${id}`])
    mkdirSync(join(home, name), { recursive: true });
  mkdirSync(join(folder, "elsewhere"));
  writeFileSync(join(home, id, "work"), "");
  symlinkSync(join(folder, "elsewhere"), join(home, id.replace("0f", "1f")));
  tool("getent", `echo "$2:x:1337:1337::${home}:/bin/sh"`);
  const run = (uid: string): ReturnType<typeof runScript> =>
    runScript(here as Connection, HOMES, ["claude", uid, home], { allowFailure: true });
  expect(await run("1000")).toMatchObject({ exitCode: 9 });
  expect(readdirSync(home)).toContain(id);
  expect(await run("1337")).toMatchObject({ exitCode: 0, stderr: "" });
  expect(readdirSync(home).sort()).toEqual([".ssh", `${id}.new`, id.replace("0f", "1f"), "notes"]);
  expect(readdirSync(join(home, "notes"))).toEqual([id]);
});
