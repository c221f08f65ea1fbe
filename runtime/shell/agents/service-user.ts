import { readFile, stat } from "node:fs/promises";
import { shellPaths } from "../../domain/index.js";

/** Who the sessions belong to, and who may run the client verbs (SPEC 2). */
export interface ServiceUser {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

const DEFAULT_NAME = "claude";

/**
 * The user whose primary group owns the folder of agents' keys, as provisioning made it; the one named `claude` when that
 * folder is not there or belongs to root. Null when there is no such user: the host is not provisioned.
 */
export async function findServiceUser(
  paths: { agentKeys: string; passwd: string } = { agentKeys: shellPaths.agentKeys, passwd: "/etc/passwd" },
): Promise<ServiceUser | null> {
  const users = parsePasswd(await readFile(paths.passwd, "utf8").catch(() => ""));
  // Readable by its parent's permissions or not, the folder's owner can only be asked for where we may look.
  const gid = await stat(paths.agentKeys).then(
    (stats) => stats.gid,
    () => 0,
  );
  const byGroup = gid === 0 ? undefined : users.find((user) => user.gid === gid && user.uid !== 0);
  return byGroup ?? users.find((user) => user.name === DEFAULT_NAME) ?? null;
}

function parsePasswd(text: string): ServiceUser[] {
  return text.split("\n").flatMap((line) => {
    const [name, , uid, gid, , home] = line.split(":");
    return name && uid && gid && home ? [{ name, uid: Number(uid), gid: Number(gid), home }] : [];
  });
}
