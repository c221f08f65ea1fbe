import { z } from "zod";
import { runScript } from "../../host/script.js";
import type { Lifecycle } from "../lifecycle.js";
import { compare, HostName } from "../shared.js";

const Inputs = z.object({
  host: HostName,
  zone: z.string().regex(/^[A-Za-z0-9_+-]+(\/[A-Za-z0-9_+-]+){0,2}$/, "must be a time zone, as Europe/Berlin"),
});
type Inputs = z.infer<typeof Inputs>;
interface State extends Inputs {
  /** The zone that was found; not in states of earlier releases. */
  before?: string;
}

/** By the link itself: timedated need not be there for it, and it is what every program reads. */
const READ = `readlink -f /etc/localtime 2>/dev/null | sed 's|.*/zoneinfo/||'`;
/** Exit 9: the host's tzdata has no such zone. */
const SET = `
[ -f "/usr/share/zoneinfo/$1" ] || exit 9
ln -sfn "/usr/share/zoneinfo/$1" /etc/localtime.convocate
mv -fT /etc/localtime.convocate /etc/localtime
if [ -e /etc/timezone ]; then echo "$1" >/etc/timezone; fi`;

/** The time zone that the inventory names for a host. */
export const timeZone: Lifecycle<Inputs, State> = {
  kind: "TimeZone",
  inputs: Inputs,
  secretOutputs: [],
  diff: (state, inputs) => compare<Inputs>(state, inputs, ["host", "zone"]),
  async create(inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    const before = (await runScript(connection, READ, [], { signal })).stdout.trim();
    const { exitCode } = await runScript(connection, SET, [inputs.zone], { allowFailure: true, signal });
    if (exitCode !== 0)
      throw new Error(
        `${inputs.host}: there is no time zone ${inputs.zone} in /usr/share/zoneinfo: install tzdata, or mend the name`,
      );
    return { id: `${inputs.host}:time-zone`, state: { ...inputs, before } };
  },
  async read({ before }, inputs, { pool, signal }) {
    const connection = await pool.connect(inputs.host, signal);
    const { stdout } = await runScript(connection, READ, [], { signal });
    return { host: inputs.host, zone: stdout.trim(), ...(before !== undefined && { before }) };
  },
  async update({ before }, inputs, context) {
    await timeZone.create(inputs, context);
    return { ...inputs, ...(before !== undefined && { before }) };
  },
  async delete({ host, before }, { pool, purge, signal }) {
    // Without a purge it stays: any zone is as good for the host.
    if (!purge || !before) return;
    await runScript(await pool.connect(host, signal), SET, [before], { allowFailure: true, signal });
  },
};
