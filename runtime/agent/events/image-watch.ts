import type { Log } from "../../protocol/log.js";
import type { Clock } from "../clock.js";
import type { DockerEngine, ImageEvent, ImageTag } from "../containers/engine.js";
import { followDocker } from "./follow.js";
import type { Spool } from "./spool.js";

/** What happened this long before a look, or longer, was told by a clock that was set back meanwhile. */
const ONE_LOOK_MS = 60_000;

/**
 * Reports the tags of `convocate` that come and go. What was reported is remembered on disk, so a change while the agent or
 * dockerd was away is told once, and none twice. A tag that names another image now is told as loaded.
 */
export class ImageWatch implements AsyncDisposable {
  readonly #docker: DockerEngine;
  readonly #spool: Spool;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #stop = new AbortController();
  #reported = new Map<string, string>();
  #comparedAt = 0;
  #done: Promise<void> = Promise.resolve();

  constructor(options: { docker: DockerEngine; spool: Spool; clock: Clock; log: Log }) {
    this.#docker = options.docker;
    this.#spool = options.spool;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  start(): void {
    this.#reported = this.#spool.images();
    this.#done = followDocker({
      what: "images",
      events: (signal, onOpen) => this.#docker.imageEvents(signal, onOpen),
      onOpen: () => this.#compare(),
      onEvent: (event) => this.#heard(event),
      onClose: () => undefined,
      clock: this.#clock,
      log: this.#log,
      signal: this.#stop.signal,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  /** Docker does not say which tag was taken, so what is there is looked at; one look serves all that happened before it. */
  async #heard(event: ImageEvent): Promise<void> {
    const beforeMs = this.#comparedAt - event.atMs;
    if (beforeMs > 0 && beforeMs < ONE_LOOK_MS) return;
    // By the time of the look it may be gone again.
    if (event.given) this.#loaded(event.given);
    await this.#compare();
  }

  async #compare(): Promise<void> {
    this.#comparedAt = this.#clock.now();
    const tags = await this.#docker.sessionImages();
    const there = new Set(tags.map(({ image }) => image));
    for (const tag of tags) this.#loaded(tag);
    for (const [image, id] of this.#reported) {
      if (there.has(image)) continue;
      this.#reported.delete(image);
      this.#spool.appendImage("image.pruned", { image, id });
    }
  }

  #loaded(tag: ImageTag): void {
    if (this.#reported.get(tag.image) === tag.id) return;
    this.#reported.set(tag.image, tag.id);
    this.#spool.appendImage("image.loaded", tag);
  }
}
