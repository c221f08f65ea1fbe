/**
 * The test Messages API server on its own: `messages-api.mjs [--port N] [--host ADDRESS] [--word-delay-ms N]`.
 * Prints one JSON line with its port once it listens, and ends with SIGTERM, SIGINT, or the end of its standard input when
 * `--until-stdin-ends` is given.
 */
import { parseArgs } from "node:util";
import { z } from "zod";
import { startMessagesApi } from "./server.js";

const number = (max: number) => z.coerce.number().int().min(0).max(max);
const options = z.object({
  port: number(65_535).default(0),
  host: z.string().default("127.0.0.1"),
  "word-delay-ms": number(10_000).optional(),
  "until-stdin-ends": z.boolean().default(false),
});

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: "string" },
      host: { type: "string" },
      "word-delay-ms": { type: "string" },
      "until-stdin-ends": { type: "boolean" },
    },
  });
  const { port, host, "word-delay-ms": wordDelayMs, "until-stdin-ends": untilStdinEnds } = options.parse(values);
  const api = await startMessagesApi({ port, host, ...(wordDelayMs === undefined ? {} : { wordDelayMs }) });
  process.stdout.write(`${JSON.stringify({ port: api.port })}\n`);

  await new Promise<void>((resolve) => {
    process.once("SIGTERM", resolve);
    process.once("SIGINT", resolve);
    if (untilStdinEnds) process.stdin.once("end", resolve).resume();
  });
  process.stdin.destroy();
  await api[Symbol.asyncDispose]();
}

main().catch((cause: unknown) => {
  process.stderr.write(`messages-api: ${cause instanceof Error ? cause.message : String(cause)}\n`);
  process.exitCode = 1;
});
