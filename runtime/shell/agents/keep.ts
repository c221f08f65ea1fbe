import { shellPaths, type AgentId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { dial } from "../../protocol/ssh/client.js";
import { Link } from "../../protocol/ssh/link.js";
import type { SshConnection } from "../../protocol/ssh/types.js";
import { Registry, type AgentEntry } from "./registry.js";

/**
 * Holds a connection to every registered agent's tcp/222, so that an agent hears the shell also while nobody has a TUI
 * open: without it, each quiet night would be an `agent.peer-lost` (SPEC 5.3). `onAgent` hears of each that is there, changed
 * (again) or gone (null); `onUp` of each connection, whose use it may make while it lasts.
 */
export async function keepConnections({
  directory = shellPaths.agentKeys,
  log,
  onAgent = () => undefined,
  onUp = async () => undefined,
}: {
  directory?: string;
  log: Log;
  onAgent?: (id: AgentId, entry: AgentEntry | null) => void;
  onUp?: (id: AgentId, connection: SshConnection) => Promise<void>;
}): Promise<AsyncDisposable> {
  const links = new Map<AgentId, Link>();
  const closing = new Set<Promise<void>>();
  const drop = (id: AgentId): void => {
    const link = links.get(id);
    if (!link) return;
    links.delete(id);
    const closed: Promise<void> = link.close().finally(() => closing.delete(closed));
    closing.add(closed);
  };
  const registry = new Registry(directory, log, (id, entry) => {
    drop(id);
    onAgent(id, entry);
    if (!entry) return;
    const { host, port, privateKey, hostKey } = entry;
    let said = "";
    const link = new Link({
      dial: (signal) => dial({ host, port, privateKey, hostKey, signal }),
      onUp: (connection) => {
        said = "";
        // What is done over it is no reason to lose it.
        onUp(id, connection).catch((error: unknown) =>
          log.warn({ agent_id: id, error: String(error) }, "cannot use the connection to the agent"),
        );
      },
      onDown: ({ code, message }) => {
        // Once a reason: an agent that is down for a week is no news every 30 s.
        if (code !== said) log.warn({ agent_id: id, code, error: message }, "no connection to the agent");
        said = code;
      },
      log,
    });
    links.set(id, link);
    link.start();
  });
  await registry.start();
  return {
    async [Symbol.asyncDispose]() {
      registry[Symbol.dispose]();
      for (const id of [...links.keys()]) drop(id);
      await Promise.all(closing);
    },
  };
}
