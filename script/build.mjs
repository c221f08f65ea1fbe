/**
 * Bundles what is shipped and what runs from a checkout into dist/.
 *
 * Shipped programs are single files that need nothing but our own Node on the host. The Pulumi program and provider keep
 * their packages external: @pulumi/pulumi fails at run time when it is bundled, and both run in a checkout anyway.
 */
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { isBuiltin } from "node:module";
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

const release = execFileSync("bash", ["-euc", "source script/lib/common.sh; release"], { encoding: "utf8" }).trim();
const define = { CONVOCATE_RELEASE: JSON.stringify(release) };
const base = {
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  define,
  sourcemap: false,
  logLevel: "error",
  legalComments: "none",
  jsx: "automatic",
};
/**
 * What packages read at their start for things that no program of ours does: dockerode for builds by BuildKit, zod for
 * messages in fifty languages, ssh2 for HTTP through SSH. An agent that runs for months would keep their text in memory.
 */
const leftOut = {
  name: "left-out",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(@grpc\/grpc-js|@grpc\/proto-loader|protobufjs)$/ }, ({ path }) => ({
      path,
      namespace: "left-out",
    }));
    onResolve({ filter: /^\.\/http-agents\.js$/ }, ({ importer, path }) =>
      importer.includes("/node_modules/ssh2/") ? { path, namespace: "left-out" } : null,
    );
    onResolve({ filter: /locales\/index\.js$/ }, ({ importer, path }) =>
      importer.includes("/node_modules/zod/") ? { path, namespace: "left-out" } : null,
    );
    onLoad({ filter: /.*/, namespace: "left-out" }, () => ({ contents: "export {};" }));
  },
};
/** CommonJS packages inside an ESM bundle ask for `require`; the native addons of ssh2 are optional and left out. */
const shipped = {
  ...base,
  minifySyntax: true,
  // Without comments: one character beyond Latin-1 in them, and Node keeps the program in memory at two bytes each.
  minifyWhitespace: true,
  // ssh2 tells a session that has no channel yet by `constructor.name`; renamed, every such session would end the process.
  keepNames: true,
  plugins: [leftOut],
  external: ["cpu-features", "*.node", "react-devtools-core"],
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url); import { fileURLToPath as __f, } from 'node:url'; import { dirname as __d } from 'node:path'; const __filename = __f(import.meta.url); const __dirname = __d(__filename);",
  },
};
const inCheckout = { ...base, packages: "external" };

const bundles = [
  [shipped, "cli/convocate-agent.ts", "dist/programs/convocate-agent.mjs"],
  [inCheckout, "cli/convocate-host.ts", "dist/convocate-host.mjs"],
  [inCheckout, "infra/main.ts", "dist/infra/main.js"],
  [inCheckout, "infra/provider/serve.ts", "dist/provider/serve.mjs"],
  [shipped, "test/support/messages-api/main.ts", "dist/test/messages-api.mjs"],
].filter(([, from]) => existsSync(from));

/**
 * `convocate` is cut in pieces, so that Ink is read only by whom draws and `convocate ls` starts at once. The program is
 * convocate.mjs with every convocate-*.mjs beside it but the agent's; pieces of earlier builds are taken away.
 */
async function buildConvocate() {
  const { metafile } = await build({
    ...shipped,
    // React's development half is as large again and slower.
    define: { ...define, "process.env.NODE_ENV": '"production"' },
    entryPoints: { convocate: "cli/convocate.ts" },
    outdir: "dist/programs",
    outExtension: { ".js": ".mjs" },
    chunkNames: "convocate-[name]-[hash]",
    splitting: true,
    metafile: true,
  });
  const made = new Set(Object.keys(metafile.outputs).map((path) => basename(path)));
  const pieces = readdirSync("dist/programs").filter((name) => /^convocate-.+-[A-Z0-9]{8}\.mjs$/.test(name));
  for (const name of pieces) if (!made.has(name)) rmSync(join("dist/programs", name));
  for (const path of Object.keys(metafile.outputs))
    writeFileSync(path, withBuiltinsAsTheyAre(readFileSync(path, "utf8")));
  chmodSync("dist/programs/convocate.mjs", 0o755);
}

/**
 * Takes Node's own modules with `process.getBuiltinModule`. Imported, each is read through for all its names, and parts of
 * Node are loaded that nobody asked for: 20 ms of each `convocate ls`.
 */
function withBuiltinsAsTheyAre(text) {
  const taken = text.replace(
    /\bimport\s*(?:\*\s*as\s+([\w$]+)|([\w$]+)?\s*,?\s*(?:\{([^}]*)\})?)\s*from\s*(["'])(node:[\w/]+|[a-z_]+(?:\/promises)?)\4/g,
    (found, whole, byDefault, names, _quote, module) => {
      if (!isBuiltin(module)) return found;
      const parts = [whole, byDefault, names === undefined ? undefined : `{${names.replace(/\s+as\s+/g, ":")}}`];
      const take = `process.getBuiltinModule("${module}")`;
      return `const ${parts
        .filter((part) => part)
        .map((part) => `${part}=${take}`)
        .join(",")}`;
    },
  );
  const left = /\bimport\s*[\w$*{][^;]{0,200}?from\s*["']node:[^"']+["']/.exec(taken);
  if (left) throw new Error(`an import of one of Node's own modules is not understood: ${left[0]}`);
  return taken;
}

mkdirSync("dist", { recursive: true });
await Promise.all([
  ...bundles.map(([options, from, to]) => build({ ...options, entryPoints: [from], outfile: to })),
  ...(existsSync("cli/convocate.ts") ? [buildConvocate()] : []),
]);
for (const [, , to] of bundles) chmodSync(to, 0o755);
writeFileSync("dist/release", `${release}\n`);
