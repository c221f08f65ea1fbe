import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { runScript, withSignal } from "./script.js";

/** What belongs to convocate on a host beside what a rollout declares: sessions, images, homes, what services wrote. */
export interface Leftovers {
  user: string;
  uid: number;
  home: string;
}

/** As a session's id is written, for `docker ps` and `find`: both take extended regular expressions. */
const UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";

/**
 * Defines `containers`, which puts the ids of session containers into `ids`, all with `--all`: by their label, and those of
 * convocate 2, which have none, by a name that is nothing but that: `convocate-session-` and a UUID.
 */
const CONTAINERS = `
containers() {
  labelled=$(docker ps "$@" --quiet --filter label=convocate.session)
  named=$(docker ps "$@" --quiet --filter 'name=^/?convocate-session-${UUID}$')
  ids=$(printf '%s\\n' $labelled $named | sort -u)
}`;

const STOP = `${CONTAINERS}
command -v docker >/dev/null || exit 0
containers
[ -z "$ids" ] || docker stop --time 10 $ids >/dev/null`;

/** Stops every session's container; homes and containers stay. */
export async function stopSessions(connection: Connection, signal?: AbortSignal): Promise<void> {
  await runScript(connection, STOP, [], { timeoutMs: 300_000, ...withSignal(signal) });
}

const SERVICES = `${CONTAINERS}
if command -v docker >/dev/null && docker version >/dev/null 2>&1; then
  containers --all
  [ -z "$ids" ] || docker rm --force --volumes $ids >/dev/null
  images=$(docker image ls --format '{{.Repository}}:{{.Tag}}' convocate)
  [ -z "$images" ] || docker image rm --force -- $images >/dev/null
  networks=$(docker network ls --quiet --filter name='^convocate$')
  [ -z "$networks" ] || docker network rm -- $networks >/dev/null
fi
# The sessions' slice stays as long as systemd has a reason; there is none left.
systemctl stop convocate.slice 2>/dev/null || :
rm -rf --one-file-system -- /etc/convocate-agent /var/lib/convocate-agent /run/convocate-agent /run/convocate-pending \
  /run/convocate-image.lock \
  /var/spool/rsyslog/convocate-*`;

/**
 * Goes on only with the account's own home: what the inventory says is compared with passwd, so that nothing is removed at
 * a mistyped path or in another user's home.
 */
const OWN_HOME = `
user=$1 uid=$2 home=$3
entry=$(getent passwd "$user") || exit 0
[ "$(echo "$entry" | cut -d : -f 3)" = "$uid" ] && [ "$(echo "$entry" | cut -d : -f 6)" = "$home" ] || exit 9`;

/** Sessions' homes alone: the service user stays with all else that is its own. */
export const HOMES = `${OWN_HOME}
[ -d "$home" ] || exit 0
find "$home/" -mindepth 1 -maxdepth 1 -type d -regextype posix-extended \\
  -regex '.*/${UUID}' -exec rm -rf --one-file-system -- {} +`;

const ACCOUNT = `
rm -rf --one-file-system -- /etc/convocate /var/lib/convocate /var/log/convocate-agent /run/convocate /usr/local/lib/convocate
${OWN_HOME}
pkill -KILL -U "$uid" || :
userdel -- "$user"
if getent group "$user" >/dev/null; then groupdel -- "$user"; fi
rm -rf --one-file-system -- "$home"`;

/** Homes that no purge removes, whatever passwd says. */
const DEEP_ENOUGH = /^\/[^/]+\/[^/]+/;

/**
 * Takes away sessions with their homes, images and what services wrote; with `account`, also the service user and what the
 * shell host keeps. Without, the service user's sessions go and it stays. Run after a rollout has taken the rest away.
 */
export async function purge(
  connection: Connection,
  left: Leftovers,
  options: { account: boolean; signal?: AbortSignal },
): Promise<void> {
  const host = connection.host.name;
  if (!DEEP_ENOUGH.test(left.home))
    throw new ConvocateError("REFUSED", `${host}: ${left.home} is no home that may be removed: remove it by hand`);
  const { exitCode, stderr } = await runScript(
    connection,
    SERVICES + (options.account ? ACCOUNT : HOMES),
    [left.user, String(left.uid), left.home],
    { timeoutMs: 600_000, allowFailure: true, ...withSignal(options.signal) },
  );
  if (exitCode === 9)
    throw new ConvocateError(
      "REFUSED",
      `${host}: user ${left.user} is not the one of the inventory (uid ${left.uid}, home ${left.home}): it and its home stay`,
    );
  if (exitCode !== 0)
    throw new ConvocateError(
      "COMMAND_FAILED",
      `${host}: not all was taken away (${stderr.trim().split("\n").at(-1) ?? ""}): run the same again`,
    );
}
