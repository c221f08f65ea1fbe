import grpc from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import pb from "@pulumi/pulumi/proto/engine_pb.js";

/** Progress is for eyes: an engine that is slow to take it loses lines, it does not fill our memory. */
const MAX_WAITING = 100;

/** What the engine shows beside a resource: progress while it is worked on, and warnings. */
export class EngineLog {
  readonly #client: InstanceType<typeof engineGrpc.EngineClient> | undefined;
  #waiting = 0;

  /** `address` is what the engine gives its plugins as their argument; without one, progress goes nowhere. */
  constructor(address: string | undefined) {
    if (address) this.#client = new engineGrpc.EngineClient(address, grpc.credentials.createInsecure());
  }

  progress(urn: string, message: string): void {
    this.#say(new pb.LogRequest().setSeverity(pb.LogSeverity.INFO).setEphemeral(true), urn, message);
  }

  /** Kept among what the engine says at its end. */
  warn(urn: string, message: string): void {
    this.#say(new pb.LogRequest().setSeverity(pb.LogSeverity.WARNING), urn, message);
  }

  #say(request: pb.LogRequest, urn: string, message: string): void {
    if (!this.#client || this.#waiting >= MAX_WAITING) return;
    this.#waiting++;
    this.#client.log(request.setUrn(urn).setMessage(message), () => this.#waiting--);
  }

  close(): void {
    this.#client?.close();
  }
}
