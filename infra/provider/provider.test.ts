import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import grpc from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import type enginePb from "@pulumi/pulumi/proto/engine_pb.js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import pb from "@pulumi/pulumi/proto/provider_pb.js";
import emptyPb from "google-protobuf/google/protobuf/empty_pb.js";
import structPb from "google-protobuf/google/protobuf/struct_pb.js";
import { z } from "zod";
import { eventually } from "../../test/support/eventually.js";
import { ConvocateError } from "../../runtime/domain/index.js";
import type { ConnectionPool } from "../connection/index.js";
import type { Lifecycle } from "../resources/lifecycle.js";
import { startProvider, type RunningProvider } from "./start.js";
import { UNKNOWN } from "./values.js";

/** A kind whose host is a map in memory: a note with a text, and a token made where it lies. */
interface NoteInputs {
  title: string;
  text: string;
  size: number;
}
interface NoteState {
  title: string;
  text: string;
  token: string;
  version: number;
}
const host = new Map<string, NoteState>();
const touched: string[] = [];
const NoteInputs = z.strictObject({ title: z.string().min(1), text: z.string(), size: z.int().default(1) });
const note: Lifecycle<NoteInputs, NoteState> = {
  kind: "Note",
  inputs: NoteInputs,
  secretOutputs: ["token"],
  volatileOutputs: ["version"],
  diff: (state, inputs) => [
    ...(state.title === inputs.title ? [] : [{ path: "title", kind: "change", replace: true } as const]),
    ...(state.text === inputs.text ? [] : [{ path: 'notes["a b"].text', kind: "change" } as const]),
  ],
  create: async (inputs, context) => {
    touched.push("create");
    context.progress("writing the note");
    if (inputs.text === "boom") throw new ConvocateError("UNREACHABLE", "h1: cannot be reached");
    if (inputs.text === "bug") throw new TypeError("x is not a function");
    if (inputs.text === "wait")
      await new Promise((_, reject) =>
        context.signal.addEventListener("abort", () => reject(context.signal.reason as Error)),
      );
    const state = { title: inputs.title, text: inputs.text, token: "s3cret", version: 1 };
    host.set(inputs.title, state);
    return { id: inputs.title, state };
  },
  read: async (state) => host.get(state.title) ?? null,
  update: async (state, inputs) => {
    touched.push("update");
    const next = { ...state, text: inputs.text, version: state.version + 1 };
    host.set(state.title, next);
    return next;
  },
  delete: async (state) => void host.delete(state.title),
};

const URN = "urn:pulumi:dev::convocate::convocate:index:Cluster$convocate:index:Note::h1/note";
const SECRET = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270" };
const secret = (value: structPb.JavaScriptValue): structPb.JavaScriptValue => ({ ...SECRET, value });
const struct = (value: Record<string, structPb.JavaScriptValue>): structPb.Struct =>
  structPb.Struct.fromJavaScript(value);
const pool: ConnectionPool & { closed: boolean } = {
  closed: false,
  connect: () => Promise.reject(new Error("no host in this test")),
  async [Symbol.asyncDispose]() {
    this.closed = true;
  },
};

let engine: grpc.Server;
const logged: enginePb.LogRequest[] = [];
let running: RunningProvider;
let client: InstanceType<typeof providerGrpc.ResourceProviderClient>;

beforeAll(async () => {
  engine = new grpc.Server();
  engine.addService(engineGrpc.EngineService, {
    log: (call: { request: enginePb.LogRequest }, callback: grpc.sendUnaryData<emptyPb.Empty>) => {
      logged.push(call.request);
      callback(null, new emptyPb.Empty());
    },
  });
  const port = await new Promise<number>((resolve) =>
    engine.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (_, bound) => resolve(bound)),
  );
  running = await startProvider({
    lifecycles: [note],
    pool,
    readHosts: () => [],
    engineAddress: `127.0.0.1:${port}`,
  });
  client = new providerGrpc.ResourceProviderClient(`127.0.0.1:${running.port}`, grpc.credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await running.close();
  engine.forceShutdown();
});
beforeEach(() => {
  host.clear();
  touched.length = 0;
});

/** Calls one method and gives its answer, or rejects with gRPC's error. */
function call<Response>(method: string, request: unknown): Promise<Response> {
  return new Promise((resolve, reject) => {
    const methods = client as unknown as Record<
      string,
      (r: unknown, cb: (e: Error | null, v: Response) => void) => void
    >;
    methods[method]!.call(client, request, (error, response) => (error ? reject(error) : resolve(response)));
  });
}
const create = (inputs: structPb.Struct, preview = false): Promise<pb.CreateResponse> =>
  call("create", new pb.CreateRequest().setUrn(URN).setProperties(inputs).setPreview(preview));
const diff = (state: structPb.Struct, inputs: structPb.Struct): Promise<pb.DiffResponse> =>
  call("diff", new pb.DiffRequest().setUrn(URN).setOlds(state).setNews(inputs));
const detailed = (response: pb.DiffResponse): Record<string, number> =>
  Object.fromEntries(
    response
      .getDetaileddiffMap()
      .getEntryList()
      .map(([path, kind]) => [path, (kind as unknown as number[])[0] ?? 0]),
  );

describe("the engine's first questions", () => {
  test("are answered: previews and secrets are supported, and nothing is to be configured", async () => {
    const configured = await call<pb.ConfigureResponse>("configure", new pb.ConfigureRequest());
    expect(configured.toObject()).toMatchObject({ acceptsecrets: true, supportspreview: true, acceptoutputs: false });
    const schema = await call<pb.GetSchemaResponse>("getSchema", new pb.GetSchemaRequest());
    expect(JSON.parse(schema.getSchema())).toMatchObject({ name: "convocate" });
    const info = await call<{ getVersion(): string }>("getPluginInfo", new emptyPb.Empty());
    expect(info.getVersion()).toMatch(/^\d+\.\d+\.\d+/);
  });

  test("a method that a provider of hosts has no use for is unimplemented", async () => {
    await expect(call("construct", new pb.ConstructRequest())).rejects.toMatchObject({
      code: grpc.status.UNIMPLEMENTED,
    });
  });
});

describe("check", () => {
  const check = (news: structPb.Struct): Promise<pb.CheckResponse> =>
    call("check", new pb.CheckRequest().setUrn(URN).setNews(news));

  test("reports every problem by its property", async () => {
    const failures = (await check(struct({ title: "", text: 7, siez: 1 }))).getFailuresList();
    expect(failures.map((failure) => failure.getProperty()).sort()).toEqual(["", "text", "title"]);
    expect(failures.map((failure) => failure.getReason()).join()).toContain("siez");
  });

  test("gives the inputs back with their secrets marked, and tolerates what is not known yet", async () => {
    const news = struct({ title: "a", text: secret("hidden"), size: UNKNOWN });
    const response = await check(news);
    expect(response.getFailuresList()).toEqual([]);
    expect(response.getInputs()?.toJavaScript()).toEqual(news.toJavaScript());
  });

  test("a kind nobody knows is told", async () => {
    const request = new pb.CheckRequest().setUrn(URN.replace("Note", "Nope")).setNews(struct({}));
    await expect(call("check", request)).rejects.toMatchObject({
      details: expect.stringContaining("no kind of resource called Nope"),
    });
  });
});

describe("create", () => {
  test("makes it, with secret outputs marked, and tells progress to the engine", async () => {
    const response = await create(struct({ title: "a", text: "t" }));
    expect(response.getId()).toBe("a");
    expect(response.getProperties()?.toJavaScript()).toEqual({
      title: "a",
      text: "t",
      token: secret("s3cret"),
      version: 1,
    });
    // Progress is not waited for by the operation it tells of.
    await eventually("a line of progress", () => logged.length > 0);
    expect(logged.map((line) => [line.getUrn(), line.getMessage(), line.getEphemeral()])).toEqual([
      [URN, "writing the note", true],
    ]);
  });

  test("an output that echoes a secret input is a secret", async () => {
    const response = await create(struct({ title: "a", text: secret("hidden") }));
    expect(response.getProperties()?.toJavaScript()).toMatchObject({ text: secret("hidden") });
  });

  test("a preview touches nothing and knows only the inputs", async () => {
    const response = await create(struct({ title: "a", text: "t" }), true);
    expect([touched, host.size]).toEqual([[], 0]);
    expect(response.getId()).toBe("");
    expect(response.getProperties()?.toJavaScript()).toEqual({ title: "a", text: "t" });
  });

  test("an error comes as its code and one line, a bug without its stack", async () => {
    await expect(create(struct({ title: "a", text: "boom" }))).rejects.toMatchObject({
      code: grpc.status.UNKNOWN,
      details: "UNREACHABLE: h1: cannot be reached",
    });
    await expect(create(struct({ title: "a", text: "bug" }))).rejects.toMatchObject({
      details: "INTERNAL: x is not a function",
    });
  });
});

describe("diff", () => {
  test("compares the inputs with what was last seen on the host, by paths", async () => {
    const state = (await create(struct({ title: "a", text: "t" }))).getProperties()!;
    const same = await diff(state, struct({ title: "a", text: "t" }));
    expect(same.getChanges()).toBe(pb.DiffResponse.DiffChanges.DIFF_NONE);
    const changed = await diff(state, struct({ title: "a", text: secret("u") }));
    expect(changed.getChanges()).toBe(pb.DiffResponse.DiffChanges.DIFF_SOME);
    expect(detailed(changed)).toEqual({ 'notes["a b"].text': pb.PropertyDiff.Kind.UPDATE });
    expect([changed.getDiffsList(), changed.getReplacesList()]).toEqual([["notes"], []]);
  });

  test("a replacement deletes first, since both lie at one place", async () => {
    const state = (await create(struct({ title: "a", text: "t" }))).getProperties()!;
    const response = await diff(state, struct({ title: "b", text: "t" }));
    expect(detailed(response)).toEqual({ title: pb.PropertyDiff.Kind.UPDATE_REPLACE });
    expect([response.getReplacesList(), response.getDeletebeforereplace()]).toEqual([["title"], true]);
  });

  test("a value not known yet is a change, and never a replacement", async () => {
    const state = (await create(struct({ title: "a", text: "t" }))).getProperties()!;
    const response = await diff(state, struct({ title: UNKNOWN, text: "t", size: UNKNOWN }));
    expect(Object.values(detailed(response))).toEqual([pb.PropertyDiff.Kind.UPDATE, pb.PropertyDiff.Kind.UPDATE]);
    expect(response.getReplacesList()).toEqual([]);
  });
});

describe("read", () => {
  const read = (state: structPb.Struct, inputs: structPb.Struct): Promise<pb.ReadResponse> =>
    call("read", new pb.ReadRequest().setId("a").setUrn(URN).setProperties(state).setInputs(inputs));

  test("brings what somebody changed by hand, so that the next diff names it", async () => {
    const inputs = struct({ title: "a", text: "t" });
    const state = (await create(inputs)).getProperties()!;
    host.get("a")!.text = "tampered";
    const seen = await read(state, inputs);
    expect(seen.getInputs()?.toJavaScript()).toEqual(inputs.toJavaScript());
    expect(seen.getProperties()?.toJavaScript()).toMatchObject({ text: "tampered", token: secret("s3cret") });
    expect(detailed(await diff(seen.getProperties()!, inputs))).toEqual({
      'notes["a b"].text': pb.PropertyDiff.Kind.UPDATE,
    });
  });

  test("a blank id says that it is gone", async () => {
    const inputs = struct({ title: "a", text: "t" });
    const state = (await create(inputs)).getProperties()!;
    host.clear();
    expect((await read(state, inputs)).getId()).toBe("");
  });

  test("inputs of another release leave the state as it was instead of failing the refresh", async () => {
    const state = struct({ title: "a", text: "t", token: secret("s3cret"), version: 1 });
    const seen = await read(state, struct({ heading: "a" }));
    expect([seen.getId(), seen.getProperties()?.toJavaScript()]).toEqual(["a", state.toJavaScript()]);
  });
});

describe("update and delete", () => {
  const update = (state: structPb.Struct, inputs: structPb.Struct, preview: boolean): Promise<pb.UpdateResponse> =>
    call("update", new pb.UpdateRequest().setId("a").setUrn(URN).setOlds(state).setNews(inputs).setPreview(preview));

  test("an update changes the host; its preview does not, and knows not what the update will change", async () => {
    const state = (await create(struct({ title: "a", text: "t" }))).getProperties()!;
    const planned = await update(state, struct({ title: "a", text: "u" }), true);
    expect(host.get("a")?.text).toBe("t");
    expect(planned.getProperties()?.toJavaScript()).toMatchObject({ title: "a", version: UNKNOWN });
    const done = await update(state, struct({ title: "a", text: "u" }), false);
    expect(host.get("a")?.text).toBe("u");
    expect(done.getProperties()?.toJavaScript()).toMatchObject({ text: "u", version: 2 });
    expect(touched).toEqual(["create", "update"]);
  });

  test("a delete needs only the state", async () => {
    const state = (await create(struct({ title: "a", text: "t" }))).getProperties()!;
    await call("delete", new pb.DeleteRequest().setId("a").setUrn(URN).setProperties(state));
    expect(host.size).toBe(0);
  });
});

// Last: a cancelled provider stays cancelled.
test("cancel ends what is under way and whatever comes after, and closing closes the pool", async () => {
  const waiting = create(struct({ title: "a", text: "wait" }));
  waiting.catch(() => undefined);
  await eventually("the create to begin", () => touched.includes("create"));
  await call("cancel", new emptyPb.Empty());
  await expect(waiting).rejects.toMatchObject({ code: grpc.status.CANCELLED });
  await expect(create(struct({ title: "b", text: "t" }))).rejects.toMatchObject({ code: grpc.status.CANCELLED });
  await running.close();
  expect(pool.closed).toBe(true);
});
