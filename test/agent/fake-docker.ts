import { createHash, randomBytes } from "node:crypto";
import { ConvocateError } from "../../runtime/domain/index.js";
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
} from "../../runtime/agent/containers/engine.js";
import { sessionOfName } from "../../runtime/agent/containers/spec.js";
import { Broadcast } from "./broadcast.js";
import { FakeTty } from "./fake-tty.js";

interface FakeContainer {
  state: ContainerState;
  spec: ContainerSpec;
}

/** Docker in memory. It keeps the same promises as the real one; the contract test says which. */
export class FakeDocker implements DockerEngine {
  driver = "systemd";
  readonly images = new Set<string>();
  readonly networks = new Set<string>();
  readonly containers = new Map<string, FakeContainer>();
  readonly ttys: FakeTty[] = [];
  /** What was asked that changes something, in order. */
  readonly calls: string[] = [];
  /** Set to make every call fail, as when dockerd is down. */
  down: ConvocateError | null = null;
  /** Holds `start` back until it resolves. */
  beforeStart: () => Promise<void> = async () => undefined;
  /** Holds `stop` back until it resolves. */
  beforeStop: () => Promise<void> = async () => undefined;
  /** Called before each `inspect`: throws or hangs for one container of which Docker cannot tell. */
  beforeInspect: (name: string) => Promise<void> = async () => undefined;
  /** What `run` answers; `true` of busybox by default. */
  onRun: (request: ExecRequest) => { exitCode: number; output: string } = () => ({ exitCode: 0, output: "" });
  readonly #events = new Broadcast<ContainerEvent>();
  readonly #imageEvents = new Broadcast<ImageEvent>();
  /** Which image a tag names, where a test gave it one. */
  #imageIds = new Map<string, string>();
  #time = Date.now();
  #stepMs = 0;
  #pid = 1000;

  /** Set to make every call wait for ever, as when dockerd is stopped with SIGSTOP. */
  hangs = false;
  /** Resolves when what hangs goes on. */
  awake: Promise<void> = new Promise(() => undefined);

  async ping(): Promise<void> {
    await this.#up();
  }

  async cgroupDriver(): Promise<string> {
    await this.#up();
    return this.driver;
  }

  async hasImage(reference: string): Promise<boolean> {
    await this.#up();
    return this.images.has(reference);
  }

  async sessionImages(): Promise<ImageTag[]> {
    await this.#up();
    return [...this.images]
      .filter((image) => image.startsWith(`${SESSION_IMAGE}:`))
      .map((image) => ({ image, id: this.#imageId(image) }));
  }

  async ensureNetwork(name: string): Promise<{ gateway: string | null }> {
    await this.#up();
    this.networks.add(name);
    return { gateway: "172.18.0.1" };
  }

  async create(spec: ContainerSpec): Promise<string | null> {
    await this.#up();
    if (this.containers.has(spec.name)) return null;
    this.calls.push(`create ${spec.name}`);
    if (!this.images.has(spec.Image ?? "")) throw new ConvocateError("DOCKER_ERROR", `no such image: ${spec.Image}`);
    const id = randomBytes(32).toString("hex");
    const state: ContainerState = {
      id,
      image: spec.Image ?? "",
      running: false,
      pid: 0,
      startedAt: null,
      finishedAt: null,
      exitCode: 0,
      oomKilled: false,
      execIds: [],
      ...(spec.Labels?.[SESSION_LABEL] === undefined ? { former: true } : {}),
    };
    this.containers.set(spec.name, { state, spec });
    return id;
  }

  async start(name: string): Promise<void> {
    await this.#up();
    await this.beforeStart();
    this.calls.push(`start ${name}`);
    const found = this.#find(name);
    found.state = { ...found.state, running: true, pid: (this.#pid += 1), startedAt: this.#tick() };
    this.#tell(found, "start");
  }

  async stop(name: string): Promise<void> {
    await this.#up();
    await this.beforeStop();
    this.calls.push(`stop ${name}`);
    const found = this.containers.get(name);
    if (!found?.state.running) return;
    this.#tell(found, "kill", { signal: "15" });
    this.die(name, 0);
  }

  async remove(name: string): Promise<void> {
    await this.#up();
    this.calls.push(`remove ${name}`);
    const found = this.containers.get(name);
    if (!found) return;
    if (found.state.running) this.die(name, 137);
    this.containers.delete(name);
    this.#tell(found, "destroy");
  }

  async inspect(name: string): Promise<ContainerState | null> {
    await this.#up();
    await this.beforeInspect(name);
    return this.#byName(name)?.state ?? null;
  }

  async list(): ReturnType<DockerEngine["list"]> {
    await this.#up();
    return [...this.containers.values()]
      .filter(({ spec }) => sessionOfName(spec.name) !== "")
      .map(({ state, spec }) => ({
        id: state.id,
        session: sessionOfName(spec.name),
        image: state.image,
        running: state.running,
      }));
  }

  async running(): Promise<RunningContainer[]> {
    await this.#up();
    return [...this.containers.values()]
      .filter(({ state }) => state.running)
      .map(({ spec }) => {
        const {
          NanoCpus = 0,
          CpuQuota = 0,
          CpuPeriod = 100_000,
          Memory = 0,
          CgroupParent = "",
        } = spec.HostConfig ?? {};
        return {
          name: spec.name,
          cgroupParent: CgroupParent,
          cpus: NanoCpus > 0 ? NanoCpus / 1e9 : CpuQuota > 0 ? CpuQuota / CpuPeriod : null,
          memoryBytes: Memory > 0 ? Memory : null,
        };
      });
  }

  events(signal: AbortSignal, onOpen: () => void): AsyncIterable<ContainerEvent> {
    return this.#open(this.#events, signal, onOpen);
  }

  imageEvents(signal: AbortSignal, onOpen: () => void): AsyncIterable<ImageEvent> {
    return this.#open(this.#imageEvents, signal, onOpen);
  }

  async run(name: string, request: ExecRequest): Promise<{ exitCode: number; output: string }> {
    await this.#up();
    if (!this.#byName(name)?.state.running) throw new ConvocateError("SESSION_NOT_RUNNING", "the session does not run");
    return this.onRun(request);
  }

  async openTty(name: string, request: ExecRequest): Promise<FakeTty> {
    await this.#up();
    if (!this.#byName(name)?.state.running) throw new ConvocateError("SESSION_NOT_RUNNING", "the session does not run");
    const tty = new FakeTty(request, (this.#pid += 1));
    this.ttys.push(tty);
    return tty;
  }

  async execState(): Promise<ExecState | null> {
    await this.#up();
    return null;
  }

  /** The kernel killed a process in it, and it goes on. */
  oom(name: string): void {
    this.#tell(this.#find(name), "oom");
  }

  /** A container ends by itself. */
  die(name: string, exitCode: number, oomKilled = false): void {
    const found = this.#find(name);
    if (oomKilled) this.#tell(found, "oom");
    found.state = { ...found.state, running: false, pid: 0, finishedAt: this.#tick(), exitCode, oomKilled };
    this.#tell(found, "die", { exitCode });
  }

  tag(image: string, id?: string): void {
    this.images.add(image);
    if (id !== undefined) this.#imageIds.set(image, id);
    const given = image.startsWith(`${SESSION_IMAGE}:`) ? { image, id: this.#imageId(image) } : null;
    this.#tellOfImages(given);
  }

  untag(image: string): void {
    this.images.delete(image);
    this.#tellOfImages(null);
  }

  /** dockerd restarts: whoever listens hears no more. */
  dropListeners(): void {
    this.#events.end();
    this.#imageEvents.end();
  }

  get listeners(): number {
    return this.#events.listeners;
  }

  get imageListeners(): number {
    return this.#imageEvents.listeners;
  }

  async *#open<E>(broadcast: Broadcast<E>, signal: AbortSignal, onOpen: () => void): AsyncGenerator<E> {
    await this.#up();
    yield* broadcast.listen(signal, onOpen);
  }

  async #up(): Promise<void> {
    if (this.down) throw this.down;
    if (this.hangs) await this.awake;
  }

  #byName(name: string): FakeContainer | undefined {
    return this.containers.get(name) ?? [...this.containers.values()].find(({ state }) => state.id === name);
  }

  #find(name: string): FakeContainer {
    const found = this.#byName(name);
    if (!found) throw new ConvocateError("DOCKER_ERROR", `no such container: ${name}`);
    return found;
  }

  #imageId(image: string): string {
    return this.#imageIds.get(image) ?? `sha256:${createHash("sha256").update(image).digest("hex")}`;
  }

  #tellOfImages(given: ImageTag | null): void {
    this.#tick();
    this.#imageEvents.tell({ given, atMs: this.#time });
  }

  /** Docker tells late of an end that was before the run that goes on. */
  lateEnd(name: string, exitCode: number, atMs: number): void {
    const { state, spec } = this.#find(name);
    const session = spec.Labels?.[SESSION_LABEL] ?? "";
    this.#events.tell({
      action: "die",
      containerId: state.id,
      session,
      image: state.image,
      atMs,
      exitCode,
      signal: null,
    });
  }

  /** Somebody sets the host's clock. */
  setClock(byMs: number): void {
    this.#time += byMs;
    this.#stepMs += byMs;
  }

  /** Later than anything before, as Docker's own clock is. */
  #tick(): string {
    this.#time = Math.max(this.#time + 1, Date.now() + this.#stepMs);
    return new Date(this.#time).toISOString();
  }

  #tell(found: FakeContainer, action: string, more: { exitCode?: number; signal?: string } = {}): void {
    const session = sessionOfName(found.spec.name);
    if (session === "") return;
    this.#tick();
    this.#events.tell({
      action,
      containerId: found.state.id,
      session,
      image: found.state.image,
      atMs: this.#time,
      exitCode: more.exitCode ?? null,
      signal: more.signal ?? null,
    });
  }
}
