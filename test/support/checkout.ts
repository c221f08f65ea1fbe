import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command, ROOT, type CommandResult, type TestCluster } from "./cluster.js";

/**
 * This checkout as another release: its own sources and build, on this one's packages and state. What is updated from it
 * differs in nothing but what it calls itself.
 */
export class OtherRelease implements AsyncDisposable {
  private constructor(
    readonly release: string,
    private readonly root: string,
    private readonly cluster: TestCluster,
  ) {}

  static async make(cluster: TestCluster, release: string): Promise<OtherRelease> {
    const root = await mkdtemp(join(tmpdir(), "convocate-release-"));
    const checkout = new OtherRelease(release, root, cluster);
    const listed = await command(["git", "ls-files"]);
    for (const path of listed.stdout.split("\n").filter((line) => line !== "")) {
      await mkdir(join(root, path, ".."), { recursive: true });
      await cp(join(ROOT, path), join(root, path), { verbatimSymlinks: true, preserveTimestamps: true });
    }
    for (const shared of ["node_modules", ".convocate"]) await symlink(join(ROOT, shared), join(root, shared));
    await cp(join(ROOT, `Pulumi.${cluster.stack}.yaml`), join(root, `Pulumi.${cluster.stack}.yaml`));
    // No git there: the release is the package's.
    const own = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as object;
    await writeFile(join(root, "package.json"), JSON.stringify({ ...own, version: release }));
    const built = await command(["env", "-C", root, join(ROOT, "node_modules/.bin/node"), "script/build.mjs"]);
    if (built.exitCode !== 0) throw new Error(`release ${release} cannot be built: ${built.stderr}`);
    return checkout;
  }

  async convocateHost(argv: readonly string[], { timeoutMs = 600_000 } = {}): Promise<CommandResult> {
    const program = [join(ROOT, "node_modules/.bin/node"), join(this.root, "dist/convocate-host.mjs")];
    return await command([...program, ...argv, "--stack", this.cluster.stack], { timeoutMs });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}
