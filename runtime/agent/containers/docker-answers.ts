import type Docker from "dockerode";
import { z } from "zod";
import { SESSION_IMAGE, type ContainerEvent, type ImageEvent, type RunningContainer } from "./engine.js";
import { plainName, sessionOfName } from "./spec.js";

/** Microseconds; what a quota without a period is of (Linux, Documentation/scheduler/sched-bwc.rst). */
const CPU_PERIOD_US = 100_000;

/** A line of Docker's event stream. */
const Message = z.object({
  Action: z.string(),
  Actor: z.object({ ID: z.string(), Attributes: z.record(z.string(), z.string()) }),
  timeNano: z.number(),
});

export const ContainerMessage = Message.transform(({ Action, Actor, timeNano }): ContainerEvent => {
  const { exitCode, signal, image, name } = Actor.Attributes;
  return {
    action: Action,
    containerId: Actor.ID,
    session: sessionOfName(name ?? ""),
    image: image ?? "",
    atMs: timeNano / 1e6,
    exitCode: exitCode === undefined ? null : Number(exitCode),
    signal: signal ?? null,
  };
});

export const ImageMessage = Message.transform(({ Action, Actor, timeNano }): ImageEvent => {
  const name = Actor.Attributes["name"] ?? "";
  const given = Action === "tag" && isSessionImage(name) ? { image: name, id: Actor.ID } : null;
  return { given, atMs: timeNano / 1e6 };
});

/** A tag of `convocate`. */
export const isSessionImage = (reference: string): boolean => reference.startsWith(`${SESSION_IMAGE}:`);

/** What `docker inspect` says a running container may use. */
export function limitsOf({ Name, HostConfig }: Docker.ContainerInspectInfo): RunningContainer {
  const { NanoCpus = 0, CpuQuota = 0, CpuPeriod = 0, Memory = 0, CgroupParent = "" } = HostConfig;
  const cpus = NanoCpus > 0 ? NanoCpus / 1e9 : CpuQuota > 0 ? CpuQuota / (CpuPeriod || CPU_PERIOD_US) : null;
  return {
    name: plainName(Name),
    cgroupParent: CgroupParent,
    cpus,
    memoryBytes: Memory > 0 ? Memory : null,
  };
}

/** Docker's own time, null for its year 1. */
export function dockerTime(text: string | undefined): string | null {
  if (!text || text.startsWith("0001-")) return null;
  return new Date(text).toISOString();
}

/** Takes Docker's 8-byte headers out of a whole output. */
export function unframe(framed: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at + 8 <= framed.length;) {
    const length = framed.readUInt32BE(at + 4);
    parts.push(framed.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(parts).toString("utf8");
}
