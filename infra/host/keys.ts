import type { Connection } from "../connection/types.js";
import { LOOK, parseLook, type Found, type Ownership } from "./files.js";
import { runScript, withSignal } from "./script.js";

/** An ed25519 key pair on a host: `path` and `path.pub`. The private half is never read over the connection. */
export interface KeyPairFound {
  /** `ssh-ed25519 AAAA…` without a comment, worked out from the private key; null when that is missing or no such key. */
  publicKey: string | null;
  /** First two words of the `.pub` file, empty when there is none. */
  publicFile: string;
  private: Found;
  public: Found;
}

/** ssh-keygen refuses a key file that others may read; through a pipe it does not ask. */
const DERIVE = `derive() { cat -- "$1" 2>/dev/null | ssh-keygen -y -P '' -f /dev/stdin 2>/dev/null | cut -d ' ' -f 1,2; }`;

const READ = `
${DERIVE}
derive "$1" || :
echo ===
cut -d ' ' -f 1,2 -- "$2" 2>/dev/null | head -n 1 || :
echo ===
${LOOK}`;

/**
 * Adopts the key that is there, or makes one in a temporary directory beside it and moves it into place, public half first:
 * whoever sees the private key sees its public one too. The directory bears the key's name: what a run that was cut off left
 * is taken away, what another key's run has in hand is not.
 */
const MAKE = `
path=$1 comment=$2 mode=$3 owner=$4 group=$5
umask 077
${DERIVE}
folder=\${path%/*}
rm -rf -- "$folder/.\${path##*/}".convocate-??????
tmp=$(mktemp -d -- "$folder/.\${path##*/}.convocate-XXXXXX")
trap 'rm -rf -- "$tmp"' EXIT
case $(derive "$path") in
ssh-ed25519\\ *) ;;
*)
  ssh-keygen -q -t ed25519 -N '' -C "$comment" -f "$tmp/key"
  chown -- "$owner:$group" "$tmp/key" "$tmp/key.pub"
  chmod -- "$mode" "$tmp/key"
  chmod 0644 "$tmp/key.pub"
  sync -- "$tmp/key" "$tmp/key.pub"
  mv -fT -- "$tmp/key.pub" "$path.pub"
  mv -fT -- "$tmp/key" "$path"
  ;;
esac
public="$(derive "$path")"
if [ "$(cut -d ' ' -f 1,2 -- "$path.pub" 2>/dev/null || :)" != "$public" ]; then
  echo "$public $comment" >"$tmp/pub"
  sync -- "$tmp/pub"
  mv -fT -- "$tmp/pub" "$path.pub"
fi
chown -- "$owner:$group" "$path" "$path.pub"
chmod -- "$mode" "$path"
chmod 0644 "$path.pub"
sync -- "$folder"`;

/** Parses READ. Pure. */
export function parseKeyPair(stdout: string, path: string): KeyPairFound {
  const [derived = "", file = "", look = ""] = stdout.split(/^===$/m);
  const found = parseLook(look, [path, `${path}.pub`]);
  const publicKey = derived.trim();
  return {
    publicKey: publicKey.startsWith("ssh-ed25519 ") ? publicKey : null,
    publicFile: file.trim(),
    private: found[path] ?? { type: "missing" },
    public: found[`${path}.pub`] ?? { type: "missing" },
  };
}

export async function readKeyPair(connection: Connection, path: string, signal?: AbortSignal): Promise<KeyPairFound> {
  const { stdout } = await runScript(connection, READ, [path, `${path}.pub`], withSignal(signal));
  return parseKeyPair(stdout, path);
}

/** Makes the pair when it is missing, and mode, owner and public half right. Its directory must be there. */
export async function makeKeyPair(
  connection: Connection,
  pair: { path: string; comment: string } & Ownership,
  signal?: AbortSignal,
): Promise<void> {
  const args = [pair.path, pair.comment, pair.mode, pair.owner, pair.group];
  await runScript(connection, MAKE, args, withSignal(signal));
}
