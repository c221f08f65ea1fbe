import { build } from "esbuild";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The fake TUI as one file in a directory of its own. */
export interface Program extends Disposable {
  path: string;
}

export async function buildProgram(entry: string): Promise<Program> {
  const directory = mkdtempSync(join(tmpdir(), "convocate-tui-"));
  const path = join(directory, "program.mjs");
  await build({
    entryPoints: [entry],
    outfile: path,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    jsx: "automatic",
    logLevel: "error",
    // As in what is shipped: ssh2 does without them.
    external: ["cpu-features", "*.node"],
    define: { "process.env.NODE_ENV": '"production"' },
    banner: {
      js:
        "import { createRequire as __r } from 'node:module'; const require = __r(import.meta.url);" +
        "const __filename = import.meta.filename; const __dirname = import.meta.dirname;",
    },
    plugins: [
      {
        // Ink imports it only where DEV=true; nobody installs it.
        name: "no-devtools",
        setup: (esbuild) => {
          esbuild.onResolve({ filter: /^react-devtools-core$/ }, ({ path }) => ({ path, namespace: "empty" }));
          esbuild.onLoad({ filter: /.*/, namespace: "empty" }, () => ({ contents: "export default {}" }));
        },
      },
    ],
  });
  return { path, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}
