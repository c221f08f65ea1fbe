import { SessionId } from "../../runtime/domain/index.js";
import { dial } from "../../runtime/protocol/ssh/client.js";
import { attachSession } from "../../runtime/shell/attach/attach.js";

/** What the parent sends, once, when the attach shall begin. */
export interface AttachOrder {
  door: { host: string; port: number; hostKey: string; privateKey: string };
  id: string;
  size: { cols: number; rows: number };
}

// The product's own attach with pipes in place of a terminal, in a process of its own as ssh is: for script/bench.
process.once("message", (order: AttachOrder) => {
  void attachSession({
    dial: (options) => dial({ ...order.door, ...options }),
    id: SessionId.parse(order.id),
    where: "agent",
    terminal: {
      input: process.stdin,
      output: process.stdout,
      size: () => order.size,
      onResize: () => () => undefined,
      term: "xterm-256color",
    },
    mode: "rw",
  }).then((outcome) => {
    if (outcome.kind === "failed") process.stderr.write(`${outcome.error.message}\n`);
    process.disconnect();
    process.stdin.destroy();
    process.exitCode = outcome.kind === "ended" ? outcome.exitStatus : 1;
  });
});
process.send?.("ready");
