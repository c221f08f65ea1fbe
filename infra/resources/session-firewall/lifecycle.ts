import { z } from "zod";
import type { Connection } from "../../connection/types.js";
import { removeEntries, sha256, writeEntries } from "../../host/files.js";
import {
  dropRulesArgv,
  EGRESS,
  readSessionRules,
  RULES_FILE,
  RULES_UNIT,
  rulesUnit,
  sessionRules,
} from "../../host/session-firewall.js";
import { bringUp, daemonReloadArgv, readUnit, systemctlArgv, unitPath } from "../../host/systemd.js";
import type { Lifecycle } from "../lifecycle.js";
import { change, compare, HostName, same } from "../shared.js";

const Port = z.int().min(1).max(65535);
const Inputs = z.object({
  host: HostName,
  egress: z.array(z.string().regex(EGRESS, "must be a range of IPv4 addresses, perhaps with ports")),
  nameServers: z.array(z.ipv4()),
  dnsHere: z.boolean(),
  doors: z.array(Port).min(1),
  otherDoors: z.array(z.string().regex(/^\d{1,3}(\.\d{1,3}){3}:\d{1,5}$/)),
});
type Inputs = z.infer<typeof Inputs>;

interface State extends Inputs {
  /** This host's own name servers: sessions ask them while the cluster's is down. */
  resolvers: string[];
  /** SHA-256 of the rules in their file. */
  content: string;
  /** SHA-256 of the unit's file, or what is there instead. */
  unit: string;
  enabled: boolean;
  running: boolean;
  /** SHA-256 of the kernel's rules as they were after they were loaded, and as they are. */
  expected: string;
  loaded: string;
}

/** The rules for this host. Pure. */
export function rulesFor(inputs: Inputs, resolvers: readonly string[]): string {
  const nameServers = [...new Set([...inputs.nameServers, ...resolvers])];
  return sessionRules({ ...inputs, nameServers });
}

async function look(connection: Connection, signal: AbortSignal): Promise<Omit<State, keyof Inputs | "expected">> {
  const [rules, unit] = await Promise.all([
    readSessionRules(connection, signal),
    readUnit(connection, RULES_UNIT, [], signal),
  ]);
  return {
    resolvers: rules.resolvers,
    content: rules.file,
    unit: unit.file.type === "file" ? unit.file.sha256 : unit.file.type,
    enabled: unit.enabled,
    running: unit.active,
    loaded: rules.loaded,
  };
}

/** What sessions may reach (SPEC 6.4): in force before Docker is, drift in the kernel seen and repaired. */
export const sessionFirewall: Lifecycle<Inputs, State> = {
  kind: "SessionFirewall",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => {
    const said = compare<Inputs>(state, inputs, ["host", "egress", "nameServers", "dnsHere", "doors", "otherDoors"]);
    const right = state.content === sha256(rulesFor(inputs, state.resolvers));
    return [
      ...said,
      ...(right || said.length > 0 ? [] : [change("content")]),
      ...(state.unit === sha256(rulesUnit) ? [] : [change("unit")]),
      ...(["enabled", "running"] as const).filter((fact) => !state[fact]).map(change),
      ...(same(state.loaded, state.expected) ? [] : [change("loaded")]),
    ];
  },
  async create(inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    const { resolvers } = await readSessionRules(connection, signal);
    const root = { mode: "0644", owner: "root", group: "root" } as const;
    await writeEntries(
      connection,
      {
        [RULES_FILE]: { type: "file", content: rulesFor(inputs, resolvers), ...root },
        [unitPath(RULES_UNIT)]: { type: "file", content: rulesUnit, ...root },
      },
      signal,
    );
    await connection.run(daemonReloadArgv(), { signal });
    await connection.run(systemctlArgv("enable", RULES_UNIT), { signal });
    // One transaction of nft: there is no moment without rules.
    await bringUp(connection, "restart", RULES_UNIT, signal);
    const seen = await look(connection, signal);
    return { id: `${inputs.host}:session-firewall`, state: { ...inputs, ...seen, expected: seen.loaded } };
  },
  async read(state, inputs, { pool, signal }) {
    return { ...state, ...(await look(await pool.connect(inputs.host, signal), signal)) };
  },
  async update(_state, inputs, context) {
    return (await sessionFirewall.create(inputs, context)).state;
  },
  async delete(state, { pool, signal }) {
    const connection = await pool.connect(state.host, signal);
    const options = { allowFailure: true, signal };
    await connection.run(systemctlArgv("disable", RULES_UNIT), options);
    await connection.run(systemctlArgv("stop", RULES_UNIT), options);
    await connection.run(dropRulesArgv(), options);
    await removeEntries(connection, [unitPath(RULES_UNIT), RULES_FILE], signal);
    await connection.run(daemonReloadArgv(), { signal });
  },
};
