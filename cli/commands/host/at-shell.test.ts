import { beforeEach, describe, expect, test } from "@jest/globals";
import { AgentId, newSessionId } from "../../../runtime/domain/index.js";
import type { Connection, RunOptions, RunResult } from "../../../infra/connection/index.js";
import { FleetAtShell, type FleetAgent } from "./at-shell.js";

/** The shell host as a connection: says what the test lets `convocate` say, one answer after another. */
class FakeShell implements Connection {
  readonly host = { via: "local", name: "shell" } as const;
  readonly ran: { argv: readonly string[]; options: RunOptions | undefined }[] = [];
  answers: Partial<RunResult>[] = [];
  async run(argv: readonly string[], options?: RunOptions): Promise<RunResult> {
    this.ran.push({ argv, options });
    const answer = this.answers.length > 1 ? this.answers.shift() : this.answers[0];
    return { stdout: "", stderr: "", exitCode: 0, ...answer };
  }
  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is open.
  }
}

const id = AgentId.parse("abcd1234");
const agent: FleetAgent = {
  id,
  name: "a-1",
  address: "a-1:222",
  answers: false,
  connection: { state: "connecting", since: "2026-01-01T00:00:00Z", error: "refused" },
  release: null,
  image: null,
  labels: null,
  heard: null,
};
const list = (silent: boolean): string =>
  JSON.stringify({ sessions: [], unreachable: silent ? [{ agent_id: id, agent: "a-1", error: "refused" }] : [] });

let shell: FakeShell;
let fleet: FleetAtShell;
beforeEach(() => {
  shell = new FakeShell();
  fleet = new FleetAtShell(shell, "claude", new AbortController().signal);
});

describe("what the shell host says of the fleet", () => {
  test("is asked as the service user, and believed also when `convocate` ends with an error beside it", async () => {
    shell.answers = [
      { stdout: JSON.stringify({ agents: [agent] }), stderr: "convocate: a-1 does not answer", exitCode: 3 },
    ];
    expect(await fleet.agents()).toEqual([agent]);
    expect(shell.ran[0]?.argv.slice(0, 6)).toEqual([
      "runuser",
      "-u",
      "claude",
      "--",
      "/usr/local/bin/convocate",
      "agents",
    ]);
  });

  test("of an agent's sessions is asked again while it is busy, and is no list while it says nothing", async () => {
    shell.answers = [{ stdout: list(true) }, { stdout: list(true) }, { stdout: list(false) }];
    expect(await fleet.sessions(agent)).toEqual([]);
    shell.answers = [{ stdout: list(true) }];
    await expect(fleet.sessions(agent)).rejects.toMatchObject({
      code: "UNREACHABLE",
      message: "a-1 does not say which sessions it has: refused; run the same again",
    });
    expect(await fleet.sessions()).toEqual([]);
  });

  test.each([
    [1, "COMMAND_FAILED"],
    [2, "BAD_USAGE"],
    [3, "UNREACHABLE"],
    [4, "REFUSED"],
    [130, "INTERRUPTED"],
  ])("that ends with %i is an error of that exit code, in its own words", async (exitCode, code) => {
    shell.answers = [{ stderr: "(node) warning\nconvocate: port 80/tcp is taken\n", exitCode }];
    await expect(fleet.move(newSessionId(), agent)).rejects.toMatchObject({
      code,
      exitCode,
      message: "port 80/tcp is taken",
    });
  });

  test("and is not understood is told with what to do", async () => {
    shell.answers = [{ stdout: "{}" }];
    await expect(fleet.capacity()).rejects.toMatchObject({
      message: expect.stringMatching(/^shell: .*convocate-host update --host shell/),
    });
  });

  test("an orphan is taken as root, since its files may be root's", async () => {
    shell.answers = [{ exitCode: 1, stderr: "convocate: no" }];
    const orphan = newSessionId();
    await expect(fleet.migrate(orphan, agent, { port: -1 })).rejects.toThrow("no");
    expect(shell.ran[0]?.argv).toEqual([
      "/usr/local/bin/convocate",
      "migrate-orphan",
      orphan,
      "--to",
      id,
      "--port",
      "-1",
      "--json",
    ]);
  });
});
