import { Readable } from "node:stream";
import { expect, test } from "@jest/globals";
import { MAX_OUTPUT_BYTES } from "../../../infra/connection/collect.js";
import type { Connection } from "../../../infra/connection/types.js";

/** What any connection does, whatever is behind it; run for this machine, for our test server, and for a real sshd. */
export function connectionContract(open: () => Promise<Connection>): void {
  const asLogin = { root: false } as const;

  test("an argv arrives as it was, and what it prints and its exit code come back", async () => {
    const connection = await open();
    const words = ["a b", "", "it's", "$HOME `id` \\", "line\nbreak", "*", "-n"];
    const result = await connection.run(["printf", "[%s]", ...words], asLogin);
    expect(result).toEqual({ stdout: words.map((word) => `[${word}]`).join(""), stderr: "", exitCode: 0 });
  });

  test("a failure rejects with the host, the program and the end of its stderr, and passes where it is allowed", async () => {
    const connection = await open();
    const argv = ["sh", "-c", "echo out; echo first >&2; echo last >&2; exit 3"];
    await expect(connection.run(argv, asLogin)).rejects.toMatchObject({
      code: "COMMAND_FAILED",
      message: `${connection.host.name}: sh failed with exit code 3: first / last`,
    });
    const allowed = await connection.run(argv, { ...asLogin, allowFailure: true });
    expect(allowed).toEqual({ stdout: "out\n", stderr: "first\nlast\n", exitCode: 3 });
  });

  test("a program that is not there ends with 127, one that a signal ends with 128 and the signal's number", async () => {
    const connection = await open();
    const options = { ...asLogin, allowFailure: true };
    expect((await connection.run(["no-such-program-here"], options)).exitCode).toBe(127);
    expect((await connection.run(["sh", "-c", "kill -9 $$"], options)).exitCode).toBe(137);
  });

  test("input arrives whole from a text, a Buffer and a stream of 64 MB", async () => {
    const connection = await open();
    expect((await connection.run(["cat"], { ...asLogin, input: "héllo" })).stdout).toBe("héllo");
    const all256 = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    expect(
      (await connection.run(["od", "-An", "-v", "-tu1", "-w256"], { ...asLogin, input: all256 })).stdout.trim(),
    ).toMatch(/^0 +1 +2 .* 254 +255$/);
    const chunk = Buffer.alloc(1024 * 1024, 7);
    const stream = Readable.from(
      (function* () {
        for (let i = 0; i < 64; i++) yield chunk;
      })(),
    );
    expect((await connection.run(["wc", "-c"], { ...asLogin, input: stream })).stdout.trim()).toBe(
      String(64 * chunk.length),
    );
  });

  test("a program that does not read its input is judged by its exit code alone", async () => {
    const connection = await open();
    const input = Readable.from(
      (function* () {
        for (let i = 0; i < 32; i++) yield Buffer.alloc(1024 * 1024);
      })(),
    );
    expect((await connection.run(["true"], { ...asLogin, input })).exitCode).toBe(0);
  });

  test("a stream that fails half way fails the run", async () => {
    const connection = await open();
    const input = Readable.from(
      (function* () {
        yield Buffer.alloc(10);
        throw new Error("disk gone");
      })(),
    );
    await expect(connection.run(["cat"], { ...asLogin, input })).rejects.toMatchObject({ code: "IO_ERROR" });
  });

  test("a deadline ends the wait, and the connection goes on", async () => {
    const connection = await open();
    const before = Date.now();
    await expect(connection.run(["sleep", "30"], { ...asLogin, timeoutMs: 300 })).rejects.toMatchObject({
      code: "TIMEOUT",
    });
    expect(Date.now() - before).toBeLessThan(10_000);
    expect((await connection.run(["echo", "still here"], asLogin)).stdout).toBe("still here\n");
  });

  test("an aborted signal ends the wait", async () => {
    const connection = await open();
    const controller = new AbortController();
    const run = connection.run(["sleep", "30"], { ...asLogin, signal: controller.signal });
    setTimeout(() => controller.abort(), 100);
    await expect(run).rejects.toMatchObject({ code: "INTERRUPTED" });
    await expect(connection.run(["true"], { signal: controller.signal })).rejects.toMatchObject({
      code: "INTERRUPTED",
    });
  });

  test("output over the bound rejects instead of filling memory", async () => {
    const connection = await open();
    const argv = ["head", "-c", String(MAX_OUTPUT_BYTES + 1), "/dev/zero"];
    await expect(connection.run(argv, asLogin)).rejects.toMatchObject({ code: "COMMAND_FAILED" });
    const most = await connection.run(["head", "-c", String(MAX_OUTPUT_BYTES), "/dev/zero"], asLogin);
    expect(most.stdout).toHaveLength(MAX_OUTPUT_BYTES);
  });

  test("forty commands at once all come back", async () => {
    const connection = await open();
    const runs = Array.from({ length: 40 }, (_, i) => connection.run(["sh", "-c", `sleep 0.05; echo ${i}`], asLogin));
    expect((await Promise.all(runs)).map((result) => result.stdout)).toEqual(runs.map((_, i) => `${i}\n`));
  });

  test("many short commands one after another and at once never run out of sessions", async () => {
    const connection = await open();
    const runs = Array.from({ length: 150 }, () => connection.run(["true"], asLogin));
    expect((await Promise.all(runs)).every((result) => result.exitCode === 0)).toBe(true);
  }, 30_000);
}
