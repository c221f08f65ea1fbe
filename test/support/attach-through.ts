import { SessionId } from "../../runtime/domain/index.js";
import { dial } from "../../runtime/protocol/ssh/client.js";
import { attachSession } from "../../runtime/shell/attach/attach.js";
import type { Door } from "./door.js";
import { MemoryTerminal } from "./memory-terminal.js";
import type { Proxy } from "./proxy.js";

/** The attach of TUI and client, in a terminal of its own, to an agent whose tcp/222 is behind a proxy. */
export function attachThrough(
  proxy: Proxy,
  { id, door, size }: { id: string; door: Door; size: { cols: number; rows: number } },
): { terminal: MemoryTerminal; ended: ReturnType<typeof attachSession> } {
  const terminal = new MemoryTerminal(size, { answers: true });
  const { host: _host, port: _port, ...keys } = door;
  const ended = attachSession({
    dial: (options) => dial({ ...keys, host: "127.0.0.1", port: proxy.port, ...options }),
    id: SessionId.parse(id),
    where: "agent-1",
    terminal,
    mode: "rw",
  });
  return { terminal, ended };
}
