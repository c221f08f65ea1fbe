import { ConvocateError } from "../../../runtime/domain/index.js";

/** Throws WRONG_UID unless this is root: the agent's files and Docker's socket are root's. */
export function requireRoot(verb: string, uid: number | undefined = process.getuid?.()): void {
  if (uid === 0) return;
  throw new ConvocateError(
    "WRONG_UID",
    `\`convocate-agent ${verb}\` runs as root, not as uid ${uid ?? "unknown"}: use \`sudo convocate-agent ${verb}\``,
  );
}
