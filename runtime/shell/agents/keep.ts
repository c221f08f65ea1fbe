import { shellPaths, type AgentId } from "../../domain/index.js";
import type { Log } from "../../protocol/log.js";
import { dial } from "../../protocol/ssh/client.js";
import { Link } from "../../protocol/ssh/link.js";
import { Registry } from "./registry.js";

/**
 * Holds a connection to every registered agent's tcp/222, so that an agent hears the shell also while nobody has a TUI
 * open: without it, each quiet night would be an `agent.peer-lost` (SPEC 5.3).
 */
export async function keepConnections({
  directory = shellPaths.agentKeys,
  log,
}: {
  directory?: string;
  log: Log;
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
    if (!entry) return;
    const { host, port, privateKey, hostKey } = entry;
    let said = "";
    const link = new Link({
      dial: (signal) => dial({ host, port, privateKey, hostKey, signal }),
      onUp: () => {
        said = "";
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
