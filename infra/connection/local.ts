import { spawn } from "node:child_process";
import { constants } from "node:os";
import { ConvocateError } from "../../runtime/domain/index.js";
import type { Started } from "./collect.js";
import { MachineConnection } from "./machine.js";

/** This machine, by the same rules as the others: an argv, sudo when we are not root, deadlines, bounded output. */
export class LocalConnection extends MachineConnection {
  protected isRoot(): boolean {
    return process.getuid?.() === 0;
  }

  protected loginName(): string {
    return process.env["USER"] ?? `uid ${process.getuid?.() ?? "?"}`;
  }

  protected async start(argv: readonly string[]): Promise<Started> {
    const [program = "", ...args] = argv;
    // A process group of its own, so that a deadline ends its children too.
    const child = spawn(program, args, { cwd: "/", stdio: ["pipe", "pipe", "pipe"], detached: true });
    const exited = new Promise<number>((resolve, reject) => {
      child.once("error", (error: NodeJS.ErrnoException) => {
        // What a shell answers over SSH, so that callers see one behaviour.
        if (error.code === "ENOENT") resolve(127);
        else if (error.code === "EACCES") resolve(126);
        else reject(new ConvocateError("IO_ERROR", `${this.host.name}: cannot start ${program}: ${error.message}`));
      });
      child.once("exit", (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
    });
    return {
      stdin: child.stdin,
      stdout: child.stdout,
      stderr: child.stderr,
      exited,
      kill: () => {
        try {
          if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
        } catch {
          // It has ended, or it is root's under sudo and ends with its pipes.
        }
        child.stdout.destroy();
        child.stderr.destroy();
        child.stdin.destroy();
        child.unref();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held open between commands.
  }
}
