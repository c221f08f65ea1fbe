import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

// What a person waits for at each `convocate ls` is, for the most part, JavaScript being compiled: once per release is
// enough. The services start once, as root, and have no home to keep it in.
if (process.getuid?.() !== 0) enableCompileCache(join(homedir(), ".cache/convocate"));

await import("./main.js");
