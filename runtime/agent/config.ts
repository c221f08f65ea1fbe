import { readFileSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { AgentId, AgentSettings, ConvocateError, parseAddress, SHELL_PORT, type agentPaths } from "../domain/index.js";
import { isMissing } from "../protocol/files.js";

/** Where the agent's files are; tests put them elsewhere. */
export type AgentPaths = { readonly [K in keyof typeof agentPaths]: string };

/** `convocate:` and a tag as Docker has them. */
const SESSION_IMAGE_TAG = /^convocate:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

export interface AgentIdentity {
  agentId: AgentId;
  settings: AgentSettings;
}

/** Reads who this agent is. Throws IO_ERROR with what to do when a file is missing or wrong. */
export async function readIdentity(paths: AgentPaths): Promise<AgentIdentity> {
  const id = AgentId.safeParse((await read(paths.agentId)).trim());
  if (!id.success) throw broken(paths.agentId, "it must hold 8 characters of a-z and 0-9");
  const settings = AgentSettings.safeParse(parseJson(paths.settings, await read(paths.settings)));
  if (!settings.success) {
    const issue = settings.error.issues[0];
    throw broken(paths.settings, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not understood"}`);
  }
  return { agentId: id.data, settings: settings.data };
}

/**
 * Tells the image that new containers run, null when none of ours is set (a host may have any other image). Its file is looked
 * at at each use (SPEC 6.4), and read when it is another than before; both at once: a turn through the thread pool takes
 * longer, and every ping would wait for it.
 */
export function imageReader(paths: AgentPaths): () => string | null {
  let before: { mark: string; image: string | null } | undefined;
  return () => {
    const file = statSync(paths.currentImage, { bigint: true, throwIfNoEntry: false });
    if (!file?.isFile()) return null;
    const mark = `${file.ino} ${file.size} ${file.mtimeNs} ${file.ctimeNs}`;
    if (before?.mark !== mark) before = { mark, image: readImage(paths.currentImage) };
    return before.image;
  };
}

function readImage(path: string): string | null {
  try {
    const text = readFileSync(path, "utf8").trim();
    return SESSION_IMAGE_TAG.test(text) ? text : null;
  } catch (error) {
    // Taken away since it was looked at.
    if (isMissing(error)) return null;
    throw error;
  }
}

/** What a dial to the shell needs, read anew for each dial, so that a rotated key or a moved shell needs no restart. */
export async function readShellDoor(
  paths: AgentPaths,
): Promise<{ host: string; port: number; privateKey: string; hostKey: string }> {
  const [address, privateKey, hostKey] = await Promise.all([
    read(paths.shellHost),
    read(paths.agentToShellKey),
    read(paths.shellHostKey),
  ]);
  const door = parseAddress(address, SHELL_PORT);
  if (!door) throw broken(paths.shellHost, "it must hold host[:port]");
  return { ...door, privateKey, hostKey: hostKey.trim() };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw new ConvocateError("IO_ERROR", `${path} is missing: run \`convocate-host init-agent\` for this host`, {
      cause: error,
    });
  }
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ConvocateError("IO_ERROR", `${path} is not JSON: run \`convocate-host init-agent\` to write it anew`, {
      cause: error,
    });
  }
}

function broken(path: string, why: string): ConvocateError {
  return new ConvocateError("IO_ERROR", `${path}: ${why}: run \`convocate-host init-agent\` to write it anew`);
}
