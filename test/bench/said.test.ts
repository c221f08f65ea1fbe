import { describe, expect, test } from "@jest/globals";
import { withoutEscapes } from "./attaches.js";
import { checkComplete, declaredOn, parseFound, shown, standIn } from "./capture.js";
import { upChanges } from "./ours.js";
import { ansibleChanges, pyinfraChanges } from "./peers.js";

describe("how many changes a tool says it made", () => {
  test("pulumi: everything in the summary that is not unchanged", () => {
    expect(upChanges("…\nResources:\n    52 unchanged\n\nDuration: 3s\n")).toBe(0);
    expect(upChanges("Resources:\n    + 1 created\n    ~ 2 updated\n    +-3 replaced\n    40 unchanged\n")).toBe(6);
  });

  test("pulumi: a run without a summary is an error, not a run without changes", () => {
    expect(() => upChanges("error: no stack\n")).toThrow(/no summary/);
  });

  test("ansible: the sum over all hosts, each of which must have ended well", () => {
    const line = (host: string, changed: number, failed = 0) =>
      `${host}               : ok=11   changed=${changed}    unreachable=0    failed=${failed}    skipped=1  `;
    expect(ansibleChanges([line("10.0.0.1", 0), line("10.0.0.2", 0)].join("\n"), 2)).toBe(0);
    expect(ansibleChanges([line("10.0.0.1", 1), line("10.0.0.2", 4)].join("\n"), 2)).toBe(5);
    expect(() => ansibleChanges(line("10.0.0.1", 0), 2)).toThrow(/1 of 2/);
    expect(() => ansibleChanges(line("10.0.0.1", 0, 1), 1)).toThrow(/0 of 1/);
  });

  test("pyinfra: the changed column of the grand total, and no errors", () => {
    expect(pyinfraChanges("    Grand total           38      -         -       38          \n")).toBe(0);
    expect(pyinfraChanges("    Grand total           38      2         -       36          \n")).toBe(2);
    expect(() => pyinfraChanges("    Grand total           38      -         1       37          \n")).toThrow(
      /no good end/,
    );
    expect(() => pyinfraChanges("--> Connecting\n")).toThrow(/no good end/);
  });
});

describe("the state that the peers have to bring about", () => {
  test("is read from find, modes with four digits; what is neither file nor directory is refused", () => {
    const found = parseFound("d\troot\tclaude\t750\t/etc/convocate\nf\troot\troot\t4755\t/etc/convocate/a b\n");
    expect(found.directories).toEqual([{ path: "/etc/convocate", owner: "root", group: "claude", mode: "0750" }]);
    expect(found.files).toEqual([{ path: "/etc/convocate/a b", owner: "root", group: "root", mode: "4755" }]);
    expect(() => parseFound("l\troot\troot\t777\t/etc/convocate/link\n")).toThrow(/link/);
  });

  test("lacks nothing that the rollout declares", () => {
    expect(() => checkComplete(["/etc/convocate/a"], ["/etc/convocate/a", "/etc/convocate/b"])).not.toThrow();
    expect(() => checkComplete(["/opt/x"], ["/etc/convocate/a"])).toThrow("/opt/x");
  });

  test("has the resources of its own host only", () => {
    const on = (host: string, unit: string) => ({
      type: "convocate:index:Unit",
      inputs: { host, unit, content: "" },
    });
    const stack = {
      deployment: {
        resources: [
          { type: "pulumi:pulumi:Stack" },
          on("one", "a.service"),
          on("two", "b.service"),
          on("three", "c.service"),
        ],
      },
    };
    expect(declaredOn(JSON.stringify(stack), ["two"], "Unit")).toEqual([{ unit: "b.service" }]);
    expect(declaredOn(JSON.stringify(stack), ["one", "two"], "Unit")).toHaveLength(2);
    expect(declaredOn(JSON.stringify(stack), ["two"], "Files")).toEqual([]);
  });

  test("sees the paths of secret files", () => {
    const mark = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270" };
    const files = {
      ...mark,
      plaintext: JSON.stringify({
        "/etc/x.key": { type: "file", mode: "0600", content: { ...mark, plaintext: '"k"' } },
      }),
    };
    const stack = {
      deployment: {
        resources: [{ type: "convocate:index:Files", inputs: { host: "a", files } }],
      },
    };
    expect(declaredOn(JSON.stringify(stack), ["a"], "Files").map((entry) => Object.keys(entry.files))).toEqual([
      ["/etc/x.key"],
    ]);
    expect(shown({ ...mark, ciphertext: "…" })).toBeNull();
  });

  test("has services that only sleep", () => {
    const unit =
      "[Service]\nType=notify\nExecStartPre=/bin/x\nExecStart=/usr/local/bin/convocate-agent serve\nRestart=always\n";
    expect(standIn(unit)).toBe("[Service]\nExecStart=/bin/sleep infinity\nRestart=always\n");
  });
});

test("a letter inside a control sequence is not an echo", () => {
  expect(withoutEscapes("\x1b[12;34HX\x1b[K\x1b(B\x1b]0;titleQ\x07\x1b[?25h")).toBe("X");
  expect(withoutEscapes("\x1b[38;2;1;2;3mZ\x1b[0m\x1bM")).toBe("Z");
});
