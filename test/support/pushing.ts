import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import { createPool, type ConnectionPool } from "../../infra/connection/index.js";
import type { HostAddress } from "../../infra/connection/types.js";
import { cacheRoot } from "../../infra/host/checkout.js";
import { findImage, type ImageFound } from "../../infra/host/image.js";
import { parseInventory } from "../../infra/inventory/index.js";
import { imagePush } from "../../infra/resources/image-push/lifecycle.js";
import { Answers } from "../../infra/resources/answers.js";
import { THIS_MACHINE, type LifecycleContext } from "../../infra/resources/lifecycle.js";
import { command, type TestCluster } from "./cluster.js";

export const MB = 1_000_000;
export type PushInputs = z.infer<typeof imagePush.inputs>;

/** Pushes of small images of random bytes to one agent, without an engine; what it said is in `said`. */
export class Pushing implements AsyncDisposable {
  readonly said: string[] = [];
  readonly #pools: ConnectionPool[] = [];
  readonly #versions = new Set<string>();

  private constructor(
    private readonly cluster: TestCluster,
    readonly host: string,
    readonly address: Extract<HostAddress, { via: "ssh" }>,
    readonly folder: string,
    /** What current-image said before. */
    private readonly before: string,
  ) {}

  static async to(cluster: TestCluster, host: string): Promise<Pushing> {
    const inventory = parseInventory(await readFile(cluster.inventory, "utf8"), cluster.inventory);
    const address = inventory.agents.find(({ name }) => name === host)?.host;
    if (address?.via !== "ssh") throw new Error(`no ${host}`);
    const folder = await mkdtemp(join(tmpdir(), "convocate-push-"));
    return new Pushing(
      cluster,
      host,
      address,
      folder,
      await cluster.lab.sh(host, "cat /etc/convocate-agent/current-image"),
    );
  }

  /** Its name, which is taken away in the end. */
  tag(version: string): string {
    this.#versions.add(version);
    return `convocate:t-push-${process.pid}-${version}`;
  }

  /** A pool of its own, to the agent as it is reached there. */
  context(change: Partial<typeof this.address> = {}, signal = new AbortController().signal): LifecycleContext {
    const pool = createPool();
    this.#pools.push(pool);
    const connect = (name: string, ended?: AbortSignal) =>
      pool.connect(name === THIS_MACHINE ? { via: "local", name } : { ...this.address, ...change }, ended);
    return { pool: { connect }, signal, answers: new Answers(), progress: (line) => void this.said.push(line) };
  }

  /** An image with one more layer of random bytes than `from`, or than nothing. */
  async build(version: string, from: string, bytes: number): Promise<PushInputs> {
    await writeFile(join(this.folder, "content"), randomBytes(bytes));
    const text = `FROM ${from}\nCOPY content /content-${version}\n`;
    return this.inputs(version, await this.buildFrom(version, text));
  }

  async buildFrom(version: string, dockerfile: string): Promise<ImageFound> {
    await writeFile(join(this.folder, "Dockerfile"), dockerfile);
    const built = await command(["docker", "build", "-q", "--network", "none", "-t", this.tag(version), this.folder], {
      env: { DOCKER_BUILDKIT: "0" },
    });
    if (built.exitCode !== 0) throw new Error(built.stderr);
    const found = await this.here(version);
    if (!found) throw new Error(`${this.tag(version)} was not built`);
    return found;
  }

  /** The image on this machine. */
  async here(version: string): Promise<ImageFound | null> {
    return await findImage(await this.context().pool.connect(THIS_MACHINE), this.tag(version), { root: false });
  }

  inputs(version: string, { imageId, layers }: ImageFound): PushInputs {
    return imagePush.inputs.parse({ host: this.host, tag: this.tag(version), imageId, layers });
  }

  async current(): Promise<string> {
    return (await this.cluster.lab.sh(this.host, "cat /etc/convocate-agent/current-image")).trim();
  }

  /** What a push left on either machine that is neither an image nor its name; empty in the end. */
  async left(): Promise<string> {
    const there = `ls -A /var/lib/convocate-agent/inc* 2>/dev/null || :
      pgrep -af 'convocate-agent/[i]ncoming|[d]ocker load' || :`;
    const here = (await readdir(cacheRoot())).filter((name) => name.startsWith(".export-"));
    return (await this.cluster.lab.sh(this.host, there)) + here.join("\n");
  }

  /** The tags of ours on the agent. */
  async tags(): Promise<string[]> {
    const list = await this.cluster.lab.sh(this.host, "docker image ls --format '{{.Repository}}:{{.Tag}}' convocate");
    return list.split("\n").filter((tag) => tag.includes(`t-push-${process.pid}-`));
  }

  /** Takes these images away from the agent, as when it never had them. */
  async forget(...versions: string[]): Promise<void> {
    const tags = versions.map((version) => this.tag(version)).join(" ");
    const script = `printf %s '${this.before}' >/etc/convocate-agent/current-image; docker image rm -f ${tags} >/dev/null 2>&1 || :`;
    await this.cluster.lab.sh(this.host, script);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const versions = [...this.#versions];
    await this.forget(...versions);
    if (versions.length > 0)
      await command(["docker", "image", "rm", "-f", ...versions.map((version) => this.tag(version))]);
    for (const pool of this.#pools) await pool[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true });
  }
}
