import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { makeKeys, startTestServer, type TestServer } from "../../../test/support/connection/test-server.js";
import { firstContact } from "./host-key.js";

const keys = makeKeys(2);
const line = keys[0]!.publicKey.split(" ").slice(0, 2).join(" ");
let server: TestServer;
let at: { name: string; address: string; port: number; user: string };
beforeAll(async () => {
  server = await startTestServer(keys[0]!, keys[1]!);
  at = { name: "h", address: "127.0.0.1", port: server.host.port, user: "admin" };
});
afterAll(async () => {
  await server.close();
  keys[Symbol.dispose]();
});

test("with nobody there to ask, a new key is refused, with its fingerprint and what to do", async () => {
  await expect(firstContact(at, { kind: "ask" })).rejects.toMatchObject({
    code: "REFUSED",
    message: expect.stringMatching(/host key is SHA256:\S+ \(ssh-ed25519\).*--host-key/),
  });
});

test("a key that was accepted unseen is the one that the host shows", async () => {
  expect(await firstContact(at, { kind: "accept-new" })).toBe(line);
});

test("a given key line is taken as it is, less its comment, without a look at the host", async () => {
  const nobody = { ...at, port: 1 };
  expect(await firstContact(nobody, { kind: "given", key: `${line} somebody@somewhere` })).toBe(line);
});

test("a given fingerprint must be the one that the host shows", async () => {
  const message = await firstContact(at, { kind: "ask" }).catch((error: unknown) => String(error));
  const fingerprint = /SHA256:\S+/.exec(message)![0];
  expect(await firstContact(at, { kind: "given", key: fingerprint })).toBe(line);
  const other = `SHA256:${"A".repeat(43)}`;
  await expect(firstContact(at, { kind: "given", key: other })).rejects.toMatchObject({
    code: "HOST_KEY_MISMATCH",
    message: expect.stringContaining(fingerprint),
  });
  await expect(firstContact(at, { kind: "given", key: "nonsense" })).rejects.toMatchObject({ code: "BAD_USAGE" });
});
