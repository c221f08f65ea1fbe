import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { RealDocker } from "./docker.js";

let folder: string;
let server: Server;
let docker: RealDocker;
/** What a dockerd answers to a path below its version; `null` is no answer at all. */
let answer: (path: string, query: URLSearchParams) => unknown;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "convocate-dockerd-"));
  const socket = join(folder, "docker.sock");
  server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? "", "http://docker");
    const body = answer(url.pathname, url.searchParams);
    if (body === null) return;
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  });
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
