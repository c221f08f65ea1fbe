import type { MoveProgress } from "../../runtime/shell/index.js";
import type { ProgressStream } from "./progress.js";

const WORDS: Record<MoveProgress["step"], string> = {
  checking: "checking both agents",
  stopping: "stopping",
  copying: "copying",
  verifying: "comparing both copies",
  switching: "switching over",
  starting: "starting",
  cleaning: "removing what is left",
};
/** Often enough for an eye. */
const EVERY_MS = 100;

/** `copying 12 of about 300 MiB`. */
export function transferLine({ step, bytes, total }: MoveProgress): string {
  if (step !== "copying") return WORDS[step];
  const mebibytes = (count: number): string => (count / 1024 ** 2).toFixed(count < 10 * 1024 ** 2 ? 1 : 0);
  return `${WORDS[step]} ${mebibytes(bytes)} of about ${mebibytes(total)} MiB`;
}

/** One live line on a terminal, nothing elsewhere; `end` takes it away. */
export function transferProgress(stream: ProgressStream = process.stderr): {
  take(progress: MoveProgress): void;
  end(): void;
} {
  if (!stream.isTTY) return { take: () => undefined, end: () => undefined };
  let last = { step: "", atMs: 0 };
  return {
    take(progress) {
      const atMs = performance.now();
      if (progress.step === last.step && atMs - last.atMs < EVERY_MS) return;
      last = { step: progress.step, atMs };
      stream.write(`\r\u001b[K${transferLine(progress)}`);
    },
    end: () => void stream.write("\r\u001b[K"),
  };
}
