import { setTimeout as sleep } from "node:timers/promises";
import type { Connection } from "../connection/types.js";
import { runScript, withSignal } from "./script.js";

/** A key pair of the peering, and the file on the other end that lets it in. */
export interface PeeringKey {
  /** Where the private key lies and is used. */
  holder: Connection;
  path: string;
  comment: string;
  mode: string;
  group: string;
  /** Where its public half is accepted: an authorized_keys file of ours. */
  acceptor: Connection;
  authorizedKeys: string;
}

/** A next key that an interrupted rotation left is used: it may be accepted already. Prints its public half. */
const MAKE_NEXT = `
path=$1 comment=$2 mode=$3 group=$4
umask 077
if [ ! -s "$path.next.pub" ]; then
  rm -f -- "$path.next"
  ssh-keygen -q -t ed25519 -N '' -C "$comment" -f "$path.next"
fi
chown -- "root:$group" "$path.next" "$path.next.pub"
chmod -- "$mode" "$path.next"
chmod 0644 "$path.next.pub"
cut -d ' ' -f 1,2 -- "$path.next.pub"`;

/** One more line, the file written whole; under the lock that resources take for the same file. */
const ACCEPT = `
path=$1 line=$2
folder=\${path%/*}
exec 9<"$folder"
flock -w 60 9
if grep -qF -- "\${line% *}" "$path"; then exit 0; fi
tmp=$(mktemp -- "$folder/.\${path##*/}.convocate-XXXXXX")
trap 'rm -f -- "$tmp"' EXIT
cp -p -- "$path" "$tmp"
echo "$line" >>"$tmp"
sync -- "$tmp"
mv -fT -- "$tmp" "$path"
sync -- "$folder"`;

/** Public half first: whoever sees the new private key sees its public one too. */
const SWITCH = `
mv -fT -- "$1.next.pub" "$1.pub"
mv -fT -- "$1.next" "$1"
sync -- "\${1%/*}"`;

/** Both servers look at their files once a second. */
const SEEN_MS = 2_000;

/**
 * Puts a new key in the place of the old one: made, accepted beside the old one, then used. The old one is still accepted
 * after this; the next rollout drops it, since it is no longer declared. Cut off anywhere, both ends still agree on a key.
 */
export async function rotateKey(key: PeeringKey, signal?: AbortSignal): Promise<void> {
  const options = withSignal(signal);
  const made = await runScript(key.holder, MAKE_NEXT, [key.path, key.comment, key.mode, key.group], options);
  await runScript(key.acceptor, ACCEPT, [key.authorizedKeys, `${made.stdout.trim()} ${key.comment}`], options);
  await sleep(SEEN_MS, undefined, options);
  await runScript(key.holder, SWITCH, [key.path], options);
}
