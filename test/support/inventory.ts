import { afterAll } from "@jest/globals";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "./keys.js";

/** Public keys of no host that there is. */
export const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
export const OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBdX2kVCc7YkLTQ+Tvqy3v5Sm2y9DHSp8WkqmKmGnBTE";

/** A folder that goes after the test file's last test; `file` writes one into it and tells its path. */
export function testFolder(): { path: string; file: (name: string, text: string) => string } {
  const folder = tempDir();
  afterAll(() => folder[Symbol.dispose]());
  const file = (name: string, text: string): string => {
    const path = join(folder.path, name);
    writeFileSync(path, text);
    return path;
  };
  return { path: folder.path, file };
}
