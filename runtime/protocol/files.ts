import { randomBytes } from "node:crypto";
import { open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { CHECK_DISK, ConvocateError, diskAdvice } from "../domain/index.js";

/**
 * Writes a file whole: a crash leaves the old one or the new one, never half of one (SPEC 4). Throws IO_ERROR that names
 * the file.
 */
export async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const part = `${path}.${randomBytes(6).toString("hex")}.part`;
  try {
    await using file = await open(part, "wx", mode);
    await file.writeFile(text);
    await file.chmod(mode);
    await file.sync();
    await rename(part, path);
  } catch (error) {
    await unlink(part).catch(() => undefined);
    throw unwritable(path, error);
  }
  await syncFolder(dirname(path));
}

/** What node:fs threw at a write, with the path (which its own message may lack) and what to do. */
export function unwritable(path: string, error: unknown): ConvocateError {
  if (error instanceof ConvocateError) return error;
  const next = diskAdvice(error) ?? CHECK_DISK;
  const why = error instanceof Error ? error.message : String(error);
  return new ConvocateError("IO_ERROR", `${path} cannot be written: ${why}: ${next}`, { cause: error });
}

/** Makes a rename or an unlink in the folder last through a power cut. */
export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, "r");
  await folder.sync();
}

/** The `code` of what Node threw (`ENOENT`, …), if it has one. */
export function codeOf(error: unknown): unknown {
  return typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
}

/** True for what node:fs throws when there is no such file. */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === "ENOENT";
}
