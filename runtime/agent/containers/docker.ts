import type { Duplex, Readable } from "node:stream";
import Docker from "dockerode";
import { z } from "zod";
import { ConvocateError } from "../../domain/index.js";
import { readLines } from "../../protocol/ndjson.js";
import { askEach } from "./ask-each.js";
import { ContainerMessage, ImageMessage, dockerTime, isSessionImage, limitsOf, unframe } from "./docker-answers.js";
import { QUICK_MS, explain, inTime, notRunning, statusOf, unless } from "./docker-errors.js";
import {
  SESSION_IMAGE,
  SESSION_LABEL,
  type ContainerEvent,
  type ContainerSpec,
  type ContainerState,
  type DockerEngine,
  type ExecRequest,
  type ExecState,
  type ImageEvent,
  type ImageTag,
  type RunningContainer,
  type TtyExec,
} from "./engine.js";
import { NAMES_OF_SESSIONS, plainName, sessionOfName } from "./spec.js";

/** Making and starting a container waits for disks and cgroups. */
const SLOW_MS = 60_000;
const MAX_OUTPUT_BYTES = 64 * 1024;
/** Options of Docker's bridge driver (moby, libnetwork/drivers/bridge/labels.go). */
const NETWORK_ICC = "com.docker.network.bridge.enable_icc";
const NETWORK_BRIDGE = "com.docker.network.bridge.name";

/** The real engine, over Docker's socket. */
export class RealDocker implements DockerEngine {
  readonly #docker: Docker;
  readonly #socketPath: string;

  constructor(socketPath = "/var/run/docker.sock") {
    this.#socketPath = socketPath;
    this.#docker = new Docker({ socketPath });
  }

  async ping(timeoutMs: number): Promise<void> {
    // It takes options as every other call does, whatever its type says.
    const ping = this.#docker.ping.bind(this.#docker) as (options: { abortSignal: AbortSignal }) => Promise<unknown>;
    await this.#ask("ping", () => ping({ abortSignal: AbortSignal.timeout(timeoutMs) }));
  }

  async cgroupDriver(): Promise<string> {
    const info: unknown = await this.#ask("info", () => inTime("info", this.#docker.info()));
    return z.object({ CgroupDriver: z.string() }).parse(info).CgroupDriver;
  }

  async hasImage(reference: string): Promise<boolean> {
    const found = await this.#orNull("image inspect", () =>
      inTime("image inspect", this.#docker.getImage(reference).inspect()),
    );
    return found !== null;
  }

  async sessionImages(): Promise<ImageTag[]> {
    const images = await this.#ask("image list", () =>
      this.#docker.listImages({
        filters: { reference: [`${SESSION_IMAGE}:*`] },
        abortSignal: AbortSignal.timeout(QUICK_MS),
      }),
    );
    // An image with one tag of ours is listed with all it has.
    return images.flatMap(({ Id, RepoTags }) =>
      // Null where an image has none, whatever the type says.
      ((RepoTags as string[] | null) ?? []).filter(isSessionImage).map((image) => ({ image, id: Id })),
    );
  }

  async ensureNetwork(name: string, bridge: string): Promise<{ gateway: string | null }> {
    const options = { [NETWORK_ICC]: "false", [NETWORK_BRIDGE]: bridge };
    let found = await this.#network(name);
    if (found && !isOurs(found, options)) {
      // Of an earlier release, or somebody else's. Docker refuses to remove one that a container uses.
      await this.#ask("network remove", () => inTime("network remove", this.#docker.getNetwork(name).remove())).catch(
        (error: unknown) => {
          throw new ConvocateError(
            "REFUSED",
            `Docker's network ${name} is not as convocate makes it (sessions might reach each other), and is in use: stop ` +
              `what uses it (docker network inspect ${name}), and the next start makes it anew`,
            { cause: error },
          );
        },
      );
      found = null;
    }
    if (!found) {
      await this.#ask("network create", () =>
        this.#docker.createNetwork({
          Name: name,
          Driver: "bridge",
          CheckDuplicate: true,
          Options: options,
          abortSignal: AbortSignal.timeout(QUICK_MS),
        }),
      ).catch((error: unknown) => {
        // Another start made it in the meantime.
        if (statusOf(error) !== 409) throw error;
      });
      found = await this.#network(name);
    }
    if (!found || !isOurs(found, options))
      throw new ConvocateError("REFUSED", `Docker's network ${name} is not as it was made: docker network rm ${name}`);
    const ipam = found.IPAM?.Config?.find((one) => one["Gateway"]?.includes("."));
    return { gateway: ipam?.["Gateway"] ?? null };
  }

  #network(name: string): Promise<Docker.NetworkInspectInfo | null> {
    return this.#orNull("network inspect", () => inTime("network inspect", this.#docker.getNetwork(name).inspect()));
  }

  async create(spec: ContainerSpec): Promise<string | null> {
    const { name, ...body } = spec;
    // Told apart (docker-modem does it, whatever its types say), or all would be in the URL as well, which Docker's debug log
    // has: the environment may hold a key.
    const options = { _query: { name }, _body: body, abortSignal: AbortSignal.timeout(SLOW_MS) };
    try {
      const made = await this.#ask("container create", () =>
        this.#docker.createContainer(options as Docker.ContainerCreateOptions),
      );
      return made.id;
    } catch (error) {
      if (statusOf(error) === 409) return null;
      throw error;
    }
  }

  async start(name: string): Promise<void> {
    await this.#ask("container start", () =>
      this.#docker.getContainer(name).start({ abortSignal: AbortSignal.timeout(SLOW_MS) }),
    );
  }

  async stop(name: string, graceSeconds: number): Promise<void> {
    await this.#ask("container stop", () =>
      this.#docker
        .getContainer(name)
        .stop({ t: graceSeconds, abortSignal: AbortSignal.timeout(graceSeconds * 1000 + SLOW_MS) }),
    ).catch(unless(304, 404));
  }

  async remove(name: string): Promise<void> {
    await this.#ask("container remove", () =>
      this.#docker.getContainer(name).remove({ force: true, v: true, abortSignal: AbortSignal.timeout(SLOW_MS) }),
    ).catch(unless(404));
  }

  async inspect(name: string): Promise<ContainerState | null> {
    const found = await this.#orNull("container inspect", () =>
      this.#docker.getContainer(name).inspect({ abortSignal: AbortSignal.timeout(QUICK_MS) }),
    );
    if (!found) return null;
    // Null where it has none at all, whatever the type says.
    const labels = found.Config.Labels as Record<string, string> | null;
    return {
      id: found.Id,
      image: found.Config.Image,
      running: found.State.Running,
      pid: found.State.Pid,
      startedAt: dockerTime(found.State.StartedAt),
      finishedAt: dockerTime(found.State.FinishedAt),
      exitCode: found.State.ExitCode,
      oomKilled: found.State.OOMKilled,
      execIds: z.array(z.string()).nullish().parse(found.ExecIDs) ?? [],
      ...(labels?.[SESSION_LABEL] === undefined ? { former: true } : {}),
    };
  }

  async list(): ReturnType<DockerEngine["list"]> {
    const all = await this.#ask("container list", () =>
      this.#docker.listContainers({
        all: true,
        filters: { name: [NAMES_OF_SESSIONS] },
        abortSignal: AbortSignal.timeout(QUICK_MS),
      }),
    );
    return all.map((one) => ({
      id: one.Id,
      session: one.Names.map(sessionOfName).find((id) => id !== "") ?? "",
      image: one.Image,
      running: one.State === "running" || one.State === "paused" || one.State === "restarting",
    }));
  }

  async running(): Promise<RunningContainer[]> {
    const listed = await this.#ask("container list", () =>
      this.#docker.listContainers({ abortSignal: AbortSignal.timeout(QUICK_MS) }),
    );
    const inspected = await askEach(listed, ({ Id }) =>
      this.#orNull("container inspect", () =>
        this.#docker.getContainer(Id).inspect({ abortSignal: AbortSignal.timeout(QUICK_MS) }),
      ),
    );
    return [...inspected].flatMap(([{ Names }, answer]) => {
      // Null: it is gone since it was listed.
      if (!(answer instanceof ConvocateError)) return answer ? [limitsOf(answer)] : [];
      return [{ name: plainName(Names[0] ?? ""), cgroupParent: null, cpus: null, memoryBytes: null }];
    });
  }

  events(signal: AbortSignal, onOpen: () => void): AsyncIterable<ContainerEvent> {
    // Docker promises no filter of events by a part of the name.
    return ofSessions(this.#events({ type: ["container"] }, ContainerMessage, signal, onOpen));
  }

  imageEvents(signal: AbortSignal, onOpen: () => void): AsyncIterable<ImageEvent> {
    return this.#events({ type: ["image"] }, ImageMessage, signal, onOpen);
  }

  async *#events<T>(
    filters: Record<string, string[]>,
    message: z.ZodType<T>,
    signal: AbortSignal,
    onOpen: () => void,
  ): AsyncGenerator<T> {
    const stream = await this.#ask("events", () => this.#docker.getEvents({ filters, abortSignal: signal }));
    onOpen();
    // The stream is an http.IncomingMessage, whatever the narrower type says.
    for await (const item of readLines(stream as Readable)) {
      if ("tooLong" in item) continue;
      const event = message.safeParse(JSON.parse(item.line));
      if (event.success) yield event.data;
    }
    throw new ConvocateError("DOCKER_ERROR", "Docker closed its event stream");
  }

  async run(name: string, request: ExecRequest, timeoutMs: number): Promise<{ exitCode: number; output: string }> {
    // Docker leaves a process whose stream is closed alone. Its time is counted inside, and so ends it without this agent, too.
    const seconds = Math.ceil(timeoutMs / 1000) + 1;
    const argv = ["timeout", "-s", "KILL", String(seconds), ...request.argv];
    const exec = await this.#createExec(name, { ...request, argv }, false);
    const stream = await this.#startExec(exec, { Tty: false, stdin: false });
    const timer = setTimeout(() => stream.destroy(new Error("deadline")), timeoutMs);
    const chunks: Buffer[] = [];
    let kept = 0;
    try {
      // A TTY merges both outputs; without one Docker frames them, 8 bytes before each part.
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        if (kept < MAX_OUTPUT_BYTES) chunks.push(chunk);
        kept += chunk.length;
      }
    } catch (error) {
      throw new ConvocateError("TIMEOUT", `${request.argv[0] ?? ""} in ${name} did not end within ${timeoutMs} ms`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
      stream.destroy();
    }
    const state = await this.execState(exec.id);
    return { exitCode: state?.exitCode ?? 255, output: unframe(Buffer.concat(chunks)) };
  }

  async openTty(name: string, request: ExecRequest): Promise<TtyExec> {
    const exec = await this.#createExec(name, request, true);
    const stream = await this.#startExec(exec, { Tty: true, stdin: true });
    return {
      stream,
      resize: (size) =>
        this.#ask("exec resize", () =>
          exec.resize({ h: size.rows, w: size.cols, abortSignal: AbortSignal.timeout(QUICK_MS) }),
        ),
      state: () => this.execState(exec.id),
    };
  }

  async execState(execId: string): Promise<ExecState | null> {
    const found = await this.#orNull("exec inspect", () =>
      this.#docker.getExec(execId).inspect({ abortSignal: AbortSignal.timeout(QUICK_MS) }),
    );
    if (!found) return null;
    return {
      running: found.Running,
      pid: found.Pid,
      exitCode: found.ExitCode,
      argv: [found.ProcessConfig.entrypoint, ...found.ProcessConfig.arguments],
    };
  }

  #createExec(name: string, request: ExecRequest, tty: boolean): Promise<Docker.Exec> {
    return this.#ask("exec create", () =>
      this.#docker.getContainer(name).exec({
        Cmd: request.argv,
        User: request.user,
        Env: Object.entries(request.env).map(([key, value]) => `${key}=${value}`),
        Tty: tty,
        AttachStdin: tty,
        AttachStdout: true,
        AttachStderr: true,
        abortSignal: AbortSignal.timeout(QUICK_MS),
      }),
    ).catch(notRunning);
  }

  /** No abort signal here: it would outlive the start and cut the stream. */
  #startExec(exec: Docker.Exec, options: { Tty: boolean; stdin: boolean }): Promise<Duplex> {
    const started = exec.start({ ...options, hijack: true });
    const start = inTime("exec start", started).catch((error: unknown) => {
      // Should it still come, nobody wants it.
      started.then((late) => late.destroy()).catch(() => undefined);
      throw error;
    });
    return this.#ask("exec start", () => start).catch(notRunning);
  }

  async #orNull<T>(what: string, call: () => Promise<T>): Promise<T | null> {
    try {
      return await this.#ask(what, call);
    } catch (error) {
      if (statusOf(error) === 404) return null;
      throw error;
    }
  }

  async #ask<T>(what: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (error instanceof ConvocateError) throw error;
      throw explain(what, this.#socketPath, error);
    }
  }
}

async function* ofSessions(events: AsyncIterable<ContainerEvent>): AsyncGenerator<ContainerEvent> {
  for await (const event of events) if (event.session !== "") yield event;
}

function isOurs(network: Docker.NetworkInspectInfo, options: Readonly<Record<string, string>>): boolean {
  return Object.entries(options).every(([key, value]) => network.Options?.[key] === value);
}
