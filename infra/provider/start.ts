import grpc from "@grpc/grpc-js";
import type { ConnectionPool } from "../connection/index.js";
import type { Lifecycle } from "../resources/lifecycle.js";
import { Adapter } from "./adapter.js";
import { EngineLog } from "./engine-log.js";
import { HostBook, type ReadHosts } from "./hosts.js";
import { providerServer } from "./service.js";

export interface RunningProvider {
  /** On 127.0.0.1; what a plugin prints. */
  port: number;
  /** Ends what is under way, stops serving and closes every connection; the pool as well. */
  close(): Promise<void>;
}

/** One provider: one server, one pool. `engineAddress` is where progress goes. */
export async function startProvider(options: {
  lifecycles: readonly Lifecycle[];
  pool: ConnectionPool;
  readHosts: ReadHosts;
  /** Hosts that are gone for good. */
  gone?: readonly string[];
  /** Hosts are to be as they were: deletes put their own settings back. */
  purge?: boolean;
  engineAddress?: string | undefined;
}): Promise<RunningProvider> {
  const log = new EngineLog(options.engineAddress);
  const hosts = new HostBook(options.pool, options.readHosts, options.gone);
  const adapter = new Adapter(
    options.lifecycles,
    hosts,
    (urn, message) => log.progress(urn, message),
    (urn, message) => log.warn(urn, message),
    options.purge,
  );
  const server = providerServer(adapter);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  return {
    port,
    close: async () => {
      adapter.cancel();
      server.forceShutdown();
      log.close();
      await options.pool[Symbol.asyncDispose]();
    },
  };
}
