import grpc from "@grpc/grpc-js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import pb from "@pulumi/pulumi/proto/provider_pb.js";
import pluginPb from "@pulumi/pulumi/proto/plugin_pb.js";
import emptyPb from "google-protobuf/google/protobuf/empty_pb.js";
import { RELEASE, toConvocateError } from "../../runtime/domain/index.js";
import type { Difference } from "../resources/lifecycle.js";
import type { Adapter } from "./adapter.js";
import { decode, encode, topProperty } from "./values.js";

/** A resource is small; this is only so that nothing can fill our memory. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

/** The engine's gRPC calls, each translated and handed to the adapter. What is not listed answers UNIMPLEMENTED. */
export function providerServer(adapter: Adapter): grpc.Server {
  const server = new grpc.Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  });
  // Typed as if all were there; a server takes some, and says so of the others.
  const implementation: grpc.UntypedServiceImplementation = handlers(adapter);
  server.addService(providerGrpc.ResourceProviderService, implementation);
  return server;
}

function handlers(adapter: Adapter): grpc.UntypedServiceImplementation {
  return {
    getPluginInfo: unary(() => new pluginPb.PluginInfo().setVersion(RELEASE)),
    getSchema: unary(() =>
      new pb.GetSchemaResponse().setSchema(JSON.stringify({ name: "convocate", version: RELEASE })),
    ),
    checkConfig: unary((request: pb.CheckRequest) => new pb.CheckResponse().setInputs(request.getNews())),
    // Our provider has no configuration: everything is in the resources.
    diffConfig: unary(() => new pb.DiffResponse().setChanges(pb.DiffResponse.DiffChanges.DIFF_NONE)),
    configure: unary(() =>
      new pb.ConfigureResponse()
        .setAcceptsecrets(true)
        .setSupportspreview(true)
        .setAcceptresources(false)
        .setAcceptoutputs(false),
    ),
    check: unary((request: pb.CheckRequest) => {
      const failures = adapter
        .check(request.getUrn(), decode(request.getNews()))
        .map(({ property, reason }) => new pb.CheckFailure().setProperty(property).setReason(reason));
      // As they came, with secrets and unknowns marked; defaults are applied when they are used.
      return new pb.CheckResponse().setInputs(request.getNews()).setFailuresList(failures);
    }),
    diff: unary((request: pb.DiffRequest) =>
      diffResponse(adapter.diff(request.getUrn(), decode(request.getOlds()), decode(request.getNews()))),
    ),
    create: unary(async (request: pb.CreateRequest) => {
      const news = decode(request.getProperties());
      const { id, values, secrets } = await adapter.create(request.getUrn(), news, request.getPreview());
      return new pb.CreateResponse().setId(id).setProperties(encode(values, secrets));
    }),
    read: unary(async (request: pb.ReadRequest) => {
      const seen = await adapter.read(request.getUrn(), decode(request.getProperties()), decode(request.getInputs()));
      // A blank id tells the engine that the resource is gone.
      if (!seen) return new pb.ReadResponse();
      return new pb.ReadResponse()
        .setId(request.getId())
        .setProperties(encode(seen.values, seen.secrets))
        .setInputs(request.getInputs());
    }),
    update: unary(async (request: pb.UpdateRequest) => {
      const [olds, news] = [decode(request.getOlds()), decode(request.getNews())];
      const { values, secrets } = await adapter.update(request.getUrn(), olds, news, request.getPreview());
      return new pb.UpdateResponse().setProperties(encode(values, secrets));
    }),
    delete: unary(async (request: pb.DeleteRequest) => {
      await adapter.delete(request.getUrn(), decode(request.getProperties()));
      return new emptyPb.Empty();
    }),
    cancel: unary(() => {
      adapter.cancel();
      return new emptyPb.Empty();
    }),
  };
}

function diffResponse(differences: readonly Difference[]): pb.DiffResponse {
  const changes = pb.DiffResponse.DiffChanges;
  const kinds = pb.PropertyDiff.Kind;
  const replaces = differences.filter(({ replace }) => replace).map(({ path }) => path);
  const response = new pb.DiffResponse()
    .setChanges(differences.length > 0 ? changes.DIFF_SOME : changes.DIFF_NONE)
    .setDiffsList([...new Set(differences.map(({ path }) => topProperty(path)))])
    .setReplacesList(replaces)
    // A new one lies where the old one does on the host: deleting the old one last would take the new one away.
    .setDeletebeforereplace(replaces.length > 0)
    .setHasdetaileddiff(true);
  for (const { path, kind, replace } of differences) {
    const plain = { add: kinds.ADD, change: kinds.UPDATE, remove: kinds.DELETE }[kind];
    const replacing = { add: kinds.ADD_REPLACE, change: kinds.UPDATE_REPLACE, remove: kinds.DELETE_REPLACE }[kind];
    response.getDetaileddiffMap().set(path, new pb.PropertyDiff().setKind(replace === true ? replacing : plain));
  }
  return response;
}

type Unary<Request, Response> = (call: { request: Request }, callback: grpc.sendUnaryData<Response>) => void;

/** An error becomes its code and its one line; never a stack, which would be shown to the operator and kept in logs. */
function unary<Request, Response>(
  handle: (request: Request) => Response | Promise<Response>,
): Unary<Request, Response> {
  return (call, callback) => {
    void (async () => handle(call.request))().then(
      (response) => callback(null, response),
      (thrown: unknown) => {
        const error = toConvocateError(thrown);
        const code = error.code === "INTERRUPTED" ? grpc.status.CANCELLED : grpc.status.UNKNOWN;
        callback({ code, details: `${error.code}: ${error.message}` });
      },
    );
  };
}
