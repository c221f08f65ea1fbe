import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline, Transform, type Readable } from "node:stream";
import { ConvocateError } from "../../runtime/domain/index.js";
import type { Connection } from "../connection/types.js";
import { runScript, SHA256, withSignal } from "./script.js";

/** SHA-256 of a local file, read as a stream. */
export async function fileSha256(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, withSignal(signal))) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

export interface Upload {
  /** Local file. */
  from: string;
  /** What `from` is packed with; the host unpacks. */
  packed: "zstd" | "plain";
  /** Path on the host. Its directory is made when missing, root's, 0755. */
  to: string;
  mode: string;
  /** Of what must lie at `to` in the end. Nothing else ever gets that name. */
  sha256: string;
  /** Default 10 minutes: 126 MB of a runtime over a slow line. */
  timeoutMs?: number;
  /** Called about once a second, and at the end, with how many bytes of `from` have gone. */
  sent?: (bytes: number) => void;
}

/** Prints the hash of what arrived and exits 9 when it is not the one that was announced. */
const RECEIVE = `${SHA256}
to=$1 mode=$2 expected=$3 packed=$4
umask 022
folder=\${to%/*}
mkdir -p -- "$folder"
rm -f -- "$folder/.\${to##*/}".convocate-??????
tmp=$(mktemp -- "$folder/.\${to##*/}.convocate-XXXXXX")
trap 'rm -f -- "$tmp"' EXIT
if [ "$packed" = zstd ]; then zstd -q -dc >"$tmp"; else cat >"$tmp"; fi
have=$(sha256 <"$tmp")
have=\${have%% *}
if [ "$have" != "$expected" ]; then echo "$have"; exit 9; fi
chown root:root "$tmp"
chmod -- "$mode" "$tmp"
sync -- "$tmp"
mv -fT -- "$tmp" "$to"
sync -- "$folder"`;

const TELL_MS = 1_000;

/** The same bytes, with a call about once a second, and at their end, that says how many have gone. */
export function counted(source: Readable, sent: Upload["sent"]): Readable {
  if (!sent) return source;
  let bytes = 0;
  let told = Date.now();
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (Date.now() - told >= TELL_MS) {
        told = Date.now();
        sent(bytes);
      }
      done(null, chunk);
    },
    flush(done) {
      sent(bytes);
      done();
    },
  });
  // Whoever destroys the counter ends the reading; a failed read fails the counter.
  return pipeline(source, counter, () => undefined);
}

/** Sends one large file, verified on the host before it gets its name. */
export async function upload(connection: Connection, file: Upload, signal?: AbortSignal): Promise<void> {
  const { exitCode, stdout, stderr } = await runScript(
    connection,
    RECEIVE,
    [file.to, file.mode, file.sha256, file.packed],
    {
      input: counted(createReadStream(file.from, { highWaterMark: 256 * 1024 }), file.sent),
      timeoutMs: file.timeoutMs ?? 600_000,
      allowFailure: true,
      ...withSignal(signal),
    },
  );
  if (exitCode === 0) return;
  const where = `${connection.host.name}: ${file.to}`;
  if (exitCode === 9)
    throw new ConvocateError(
      "IO_ERROR",
      `${where} arrived with SHA-256 ${stdout.trim()} instead of ${file.sha256}, and was thrown away; run the same again`,
    );
  throw new ConvocateError(
    "IO_ERROR",
    `${where} could not be written (${stderr.trim().split("\n").at(-1) ?? `exit ${exitCode}`}); is there disk space?`,
  );
}
