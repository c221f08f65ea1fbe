import { ConvocateError, type AgentSettings, type SessionId } from "../../domain/index.js";
import type { AttachHeader } from "../../protocol/attach/header.js";
import type { Clock } from "../clock.js";
import type { DockerEngine, ExecRequest } from "../containers/engine.js";
import { CONTAINER_HOME, containerName } from "../containers/spec.js";

/** How long a container that has just started may take until its tmux answers. */
export const READY_MS = 10_000;
const READY_POLL_MS = 100;
const RUN_MS = 5_000;

/** Names our own attach processes among a container's execs. */
const MARK = "convocate-attach";
/** The TTY gets its size before tmux looks at it, so the first screen is right; Docker's own resize would come after. */
const ATTACH =
  'stty cols "$1" rows "$2" 2>/dev/null; if [ "$3" = ro ]; then exec convocate-attach --read-only; fi; exec convocate-attach';
const DETACH_ALL = "tmux list-clients -t =claude | wc -l; tmux detach-client -s =claude";

type User = Pick<AgentSettings, "uid" | "gid">;

function request(user: User, argv: string[], env: Record<string, string> = {}): ExecRequest {
  return { argv, user: `${user.uid}:${user.gid}`, env: { HOME: CONTAINER_HOME, LANG: "C.UTF-8", ...env } };
}

/** The process of one attach: `convocate-attach` of the image, on a TTY that has the client's size. */
export function attachRequest(user: User, header: AttachHeader): ExecRequest {
  const argv = ["/bin/sh", "-c", ATTACH, MARK, String(header.cols), String(header.rows), header.mode];
  return request(user, argv, { TERM: header.term });
}

export function isAttach(argv: readonly string[]): boolean {
  return argv[3] === MARK && argv[2] === ATTACH;
}

/** Detaches every client, also those that came another way; answers with how many there were. */
export async function detachAll(docker: DockerEngine, user: User, id: SessionId): Promise<number> {
  const { output } = await docker.run(containerName(id), request(user, ["/bin/sh", "-c", DETACH_ALL]), RUN_MS);
  return Number.parseInt(output, 10) || 0;
}

/**
 * What the session's terminal shows now, line by line: plain text, or `styled` with its colours' sequences. @throws ConvocateError SESSION_NOT_RUNNING; TIMEOUT
 * when its tmux does not answer.
 */
export async function captureScreen(
  docker: DockerEngine,
  user: User,
  id: SessionId,
  { styled }: { styled: boolean },
): Promise<string[]> {
  const argv = ["tmux", "capture-pane", "-p", ...(styled ? ["-e"] : []), "-t", "=claude:"];
  const { exitCode, output } = await docker.run(containerName(id), request(user, argv), RUN_MS);
  if (exitCode !== 0)
    throw new ConvocateError(
      "TIMEOUT",
      `session ${id} has no screen yet: its tmux says ${JSON.stringify(output.trim())}`,
    );
  return output.replace(/\n$/, "").split("\n");
}

/** Waits until the session's tmux answers. Throws TIMEOUT, or SESSION_NOT_RUNNING when the container ends meanwhile. */
export async function waitForTmux(
  docker: DockerEngine,
  user: User,
  id: SessionId,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const until = clock.monotonicMs() + READY_MS;
  while (!signal.aborted) {
    const asked = await docker.run(containerName(id), request(user, ["tmux", "has-session", "-t", "=claude"]), RUN_MS);
    if (asked.exitCode === 0) return;
    if (clock.monotonicMs() >= until) {
      throw new ConvocateError(
        "TIMEOUT",
        `session ${id} has started, but its tmux does not answer: see \`docker logs ${containerName(id)}\` on the agent's host`,
      );
    }
    await clock.sleep(READY_POLL_MS, signal).catch(() => undefined);
  }
}
