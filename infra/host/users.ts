import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { runScript, withSignal } from "./script.js";

export interface ServiceAccount {
  user: string;
  uid: number;
  gid: number;
  home: string;
  /** Login shell. */
  shell: string;
}

/** What a host says of an account: its own record, and whether home and skeleton are there and whose. */
export interface AccountFound extends ServiceAccount {
  /** `0750 claude claude`, or `missing`. */
  homeOwnership: string;
  skelOwnership: string;
}

const READ = `
getent passwd "$1" || exit 0
stat -c '%a %U %G' -- "$2" 2>/dev/null || echo missing
stat -c '%a %U %G' -- "$2/.skel" 2>/dev/null || echo missing`;

/** Parses READ; null when there is no such user. Pure. */
export function parseAccount(stdout: string): AccountFound | null {
  const [passwd = "", homeOwnership = "missing", skelOwnership = "missing"] = stdout.trim().split("\n");
  const [user, , uid, gid, , home, shell = ""] = passwd.split(":");
  if (!user || !home) return null;
  return { user, uid: Number(uid), gid: Number(gid), home, shell, homeOwnership, skelOwnership };
}

export async function readAccount(
  connection: Connection,
  account: Pick<ServiceAccount, "user" | "home">,
  signal?: AbortSignal,
): Promise<AccountFound | null> {
  const { stdout } = await runScript(connection, READ, [account.user, account.home], withSignal(signal));
  return parseAccount(stdout);
}

const groupaddArgv = (account: ServiceAccount): string[] => ["groupadd", "--gid", String(account.gid), account.user];

/** No password, so no login by one. */
export const useraddArgv = (account: ServiceAccount): string[] => [
  "useradd",
  "--uid",
  String(account.uid),
  "--gid",
  String(account.gid),
  "--home-dir",
  account.home,
  "--no-create-home",
  "--shell",
  account.shell,
  "--comment",
  "convocate sessions",
  account.user,
];

export const usermodArgv = ({ user, shell }: Pick<ServiceAccount, "user" | "shell">): string[] => [
  "usermod",
  "--shell",
  shell,
  user,
];

/** Prints who has the uid and the gid now, or nothing. */
const TAKEN = `
getent passwd "$1" | cut -d: -f1
echo ---
getent group "$2" | cut -d: -f1`;

/** Homes are entered by the user and looked at by root only. Skeleton: what a new session starts with. */
const HOMES = `
install -d -o "$1" -g "$2" -m 0750 -- "$3"
install -d -o "$1" -g "$2" -m 0750 -- "$3/.skel"`;

/** Makes the account and its home. An account of that name or number that is somebody else's is refused, not changed. */
export async function makeAccount(
  connection: Connection,
  account: ServiceAccount,
  signal?: AbortSignal,
): Promise<void> {
  const options = withSignal(signal);
  const have = await readAccount(connection, account, signal);
  if (have && (have.uid !== account.uid || have.gid !== account.gid || have.home !== account.home))
    throw new ConvocateError(
      "REFUSED",
      `${connection.host.name}: user ${account.user} is there with uid ${have.uid}, gid ${have.gid}, home ${have.home}; ` +
        `set service.user, uid, gid and home of the inventory to those, or to names and numbers that are free`,
    );
  if (!have) {
    const { stdout } = await runScript(connection, TAKEN, [String(account.uid), String(account.gid)], options);
    const [byUid = "", byGid = ""] = stdout.split("---").map((name) => name.trim());
    if (byUid !== "" || (byGid !== "" && byGid !== account.user))
      throw new ConvocateError(
        "REFUSED",
        `${connection.host.name}: uid ${account.uid} or gid ${account.gid} belongs to ${byUid || byGid}; ` +
          `set service.uid and service.gid of the inventory to free ones`,
      );
    if (byGid === "") await connection.run(groupaddArgv(account), options);
    await connection.run(useraddArgv(account), options);
  } else if (have.shell !== account.shell) await connection.run(usermodArgv(account), options);
  await runScript(connection, HOMES, [account.user, String(account.gid), account.home], options);
}
