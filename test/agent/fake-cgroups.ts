import type { Cgroups, SliceUse } from "../../runtime/agent/capacity/cgroups.js";

/** Control groups as a test says. Everything lies in the slice unless `escaped` has its pid. */
export class FakeCgroups implements Cgroups {
  cgroupVersion: 1 | 2 = 2;
  readonly escaped = new Set<number>();
  use: SliceUse = { present: true, cpuUs: 0, memoryBytes: 0, cpuLimited: true, memoryLimited: true };
  readonly kills = new Map<string, number>();

  async version(): Promise<1 | 2> {
    return this.cgroupVersion;
  }

  async slice(): Promise<SliceUse> {
    return this.use;
  }

  async inSlice(pid: number): Promise<boolean> {
    return !this.escaped.has(pid);
  }

  async oomKills(containerId: string): Promise<number> {
    return this.kills.get(containerId) ?? 0;
  }
}

/** Admission that refuses nothing, for tests of something else. */
export const roomForAll = { reserve: async (): Promise<Disposable> => ({ [Symbol.dispose]: () => undefined }) };
