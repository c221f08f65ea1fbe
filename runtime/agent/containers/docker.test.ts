import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { newSessionId } from "../../domain/index.js";
import { RealDocker } from "./docker.js";
import { containerName } from "./spec.js";

let folder: string;
let server: Server;
let docker: RealDocker;
/** What a dockerd answers to a path below its version; `null` is no answer at all, `undefined` that there is no such thing. */
let answer: (path: string, query: URLSearchParams, body: unknown) => unknown;
/** What it tells before it closes its event stream. */
let stream = "";

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "convocate-dockerd-"));
  const socket = join(folder, "docker.sock");
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url?.includes("/events")) {
      response.end(`${stream}\n`);
      return;
    }
    const url = new URL(request.url ?? "", "http://docker");
    const sent = await text(request);
    const body = answer(url.pathname, url.searchParams, sent === "" ? undefined : JSON.parse(sent));
    if (body === null) return;
    response.writeHead(body === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(body ?? { message: "no such container" }));
  };
  server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  docker = new RealDocker(socket);
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

test("says what runs within 4 s, also where one container's inspect hangs: of that it says its name only", async () => {
  const listed = Array.from({ length: 20 }, (_, at) => ({ Id: `id${at}`, Names: [`/name${at}`] }));
  answer = (path) => {
    if (path.endsWith("/containers/json")) return listed;
    const id = path.split("/").at(-2) ?? "";
    return id === "id7" ? null : { Id: id, Name: id.replace("id", "/name"), HostConfig: { CgroupParent: "a.slice" } };
  };
  const since = Date.now();
  const running = await docker.running();
  expect(Date.now() - since).toBeLessThan(4_000);
  expect(running).toHaveLength(20);
  expect(running).toContainEqual({ name: "name3", cgroupParent: "a.slice", cpus: null, memoryBytes: null });
  expect(running).toContainEqual({ name: "name7", cgroupParent: null, cpus: null, memoryBytes: null });
});

test("sends what a container is made of in the body alone: the URL of a request is in Docker's debug log", async () => {
  let asked: { query: string[]; body: unknown } | undefined;
  answer = (_path, query, body) => {
    asked = { query: [...query].flat(), body };
    return { Id: "abc" };
  };
  const spec = { Image: "convocate:1", Env: ["ANTHROPIC_API_KEY=sk-ant-1"], HostConfig: { Memory: 1024 } };
  expect(await docker.create({ name: "convocate-session-x", ...spec })).toBe("abc");
  expect(asked).toEqual({ query: ["name", "convocate-session-x"], body: spec });
});

test("says nothing of what ran when it was listed and is gone since", async () => {
  answer = (path) => (path.endsWith("/containers/json") ? [{ Id: "id1", Names: ["/name1"] }] : undefined);
  expect(await docker.running()).toEqual([]);
});

test("knows a session's container by its name: one of an earlier release has no label", async () => {
  const [id, other] = [newSessionId(), newSessionId()];
  const container = { Id: "abc", Image: "convocate:2", State: "running" };
  answer = (path, query) => {
    if (!path.endsWith("/containers/json")) {
      const Labels = path.includes(id) ? {} : { "convocate.session": other };
      return { Id: "abc", Config: { Image: "convocate:2", Labels }, State: { Running: true } };
    }
    const [name = ""] = (JSON.parse(query.get("filters") ?? "{}") as { name: string[] }).name;
    return [`/convocate-session-${id}`, `/convocate-session-${other}`, "/my-convocate-session-x", "/else"]
      .filter((one) => new RegExp(name).test(one))
      .map((one) => ({ ...container, Names: [one], Labels: {} }));
  };
  expect((await docker.list()).map(({ session }) => session)).toEqual([id, other]);
  expect((await docker.inspect(containerName(id)))?.former).toBe(true);
  expect((await docker.inspect(containerName(other)))?.former).toBeUndefined();
});

test("tells of what happens to sessions' containers, labelled or not, and to no other", async () => {
  const id = newSessionId();
  const event = (name: string) => ({ Action: "die", timeNano: 1e15, Actor: { ID: "abc", Attributes: { name } } });
  stream = [event("else"), event(`convocate-session-${id}`)].map((one) => JSON.stringify(one)).join("\n");
  const heard: string[] = [];
  const following = async (): Promise<void> => {
    for await (const { session } of docker.events(new AbortController().signal, () => undefined)) heard.push(session);
  };
  await expect(following()).rejects.toMatchObject({ code: "DOCKER_ERROR" });
  expect(heard).toEqual([id]);
});
