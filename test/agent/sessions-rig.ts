import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Admission } from "../../runtime/agent/capacity/admission.js";
import { systemClock, type Clock } from "../../runtime/agent/clock.js";
import { Containers } from "../../runtime/agent/containers/containers.js";
import { containerName } from "../../runtime/agent/containers/spec.js";
import { DockerPulse } from "../../runtime/agent/containers/pulse.js";
import { Homes } from "../../runtime/agent/sessions/homes.js";
import { LockFiles, type LockOwners } from "../../runtime/agent/sessions/lock-files.js";
import { Locks } from "../../runtime/agent/sessions/locks.js";
import { MetadataStore } from "../../runtime/agent/sessions/metadata.js";
import { recover } from "../../runtime/agent/sessions/recover.js";
import { Sessions } from "../../runtime/agent/sessions/sessions.js";
import { noProbe, type StepProbe } from "../../runtime/agent/sessions/steps.js";
import { AgentId, AgentSettings, ConvocateError, type EventType, type SessionId } from "../../runtime/domain/index.js";
import { silentLog } from "../../runtime/protocol/log.js";
import { OPS, type OpInput, type OpParams } from "../../runtime/protocol/rpc/ops.js";
import { FakeCgroups } from "./fake-cgroups.js";
import { FakeJournal } from "./fake-journal.js";
import { FakeDocker } from "./fake-docker.js";

let requests = 0;

/** Params of a create with a request id of its own. */
export function createParams(change: Partial<OpInput<"create">> = {}): OpParams<"create"> {
  return OPS.create.params.parse({ request_id: `request-${(requests += 1)}`, name: "one", ...change });
}

/** An agent's sessions over real folders and a Docker in memory; `open` again is an agent that comes after a crash. */
export class SessionsRig implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "convocate-sessions-"));
  readonly docker = new FakeDocker();
  readonly cgroups = new FakeCgroups();
  readonly journal = new FakeJournal();
  /** What `current-image` says. */
  image: string | null = "convocate:1";
  /** The host's. */
  cores = 100;
  /** The agent takes no new sessions. */
  cordoned = false;
  /** The host's own; of the next agent to open. */
  reservedPorts = [22, 222];
  emitted: string[] = [];
  step: StepProbe = noProbe;
  clock: Clock = systemClock;
  lockWaitMs = 200;
  /** Of the host. */
  boot = "first";
  sessions!: Sessions;
  containers!: Containers;
  locks!: Locks;
  store!: MetadataStore;
  homes!: Homes;
  #processes = 0;

  static async start(): Promise<SessionsRig> {
    const rig = new SessionsRig();
    rig.docker.images.add("convocate:1").add("convocate:2");
    await rig.open();
    return rig;
  }

  home(id: SessionId): string {
    return join(this.root, "home", id);
  }

  async open(): Promise<void> {
    const { clock, docker, cgroups } = this;
    const settings = AgentSettings.parse({
      name: "a",
      home: join(this.root, "home"),
      reserved_ports: this.reservedPorts,
      uid: process.getuid!() || 1,
      gid: process.getgid!() || 1,
    });
    const store = (this.store = await MetadataStore.open(join(this.root, "sessions"), silentLog));
    const homes = (this.homes = new Homes(settings.home, settings));
    const lockFiles = new LockFiles(join(this.root, "locks"), silentLog, this.#owners());
    const locks = (this.locks = new Locks(clock, this.lockWaitMs, lockFiles));
    const events = { emit: (type: EventType, id: SessionId | null) => void this.emitted.push(`${type} ${id ?? ""}`) };
    await recover({ store, homes, lockFiles, locks, events, clock, log: silentLog });
    const admission = new Admission({
      docker,
      settings: () => ({ ...settings.capacity, ...settings.session.limits }),
      total: async () => ({ cpus: this.cores, memory_bytes: 1024 ** 4, disk_bytes: 1024 ** 4 }),
      sessions: () => store.all(),
      diskUse: () => 0,
      clock,
    });
    const currentImage = (): string | null => this.image;
    this.containers = new Containers({ docker, settings: () => settings, homes, currentImage, admission, cgroups });
    // The probe of this agent, not of one that comes after it.
    const { step } = this;
    this.sessions = new Sessions({
      agentId: AgentId.parse("abcd1234"),
      store,
      homes,
      containers: this.containers,
      locks,
      events,
      clock,
      attached: () => 0,
      detachAll: async (id) => {
        await docker.run(containerName(id), { argv: ["detach"], user: "", env: {} });
        return 3;
      },
      journal: this.journal,
      reservedPorts: settings.reserved_ports,
      pulse: new DockerPulse(docker, clock),
      refuseNew: () => {
        if (this.cordoned) throw new ConvocateError("REFUSED", "cordoned");
      },
      boot: this.boot,
      step,
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }

  /** Each opening is a new process to the locks; those before it are gone. */
  #owners(): LockOwners {
    const self = { pid: (this.#processes += 1), started: "1", boot_id: "b" };
    return { self, alive: ({ pid }) => pid === self.pid };
  }
}
