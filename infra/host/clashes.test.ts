import { expect, test } from "@jest/globals";
import { parseClashes, type WantedPort } from "./clashes.js";

const wanted: WantedPort[] = [
  { port: 222, what: "convocate-agent", ours: ["node"] },
  { port: 53, what: "dnsmasq", ours: ["dnsmasq", "systemd-resolve"] },
];

test("what listens where we must is told by name, and what is ours or fits is not", () => {
  expect(parseClashes("a", "222 node\n53 systemd-resolve\n53 dnsmasq\n---\n", wanted)).toEqual([]);
  expect(parseClashes("a", "222 sshd\n222 sshd\n53 named\n---\n", wanted)).toEqual([
    "a: sshd listens on port 222, which convocate-agent needs: stop it, or move it to another port",
    "a: named listens on port 53, which dnsmasq needs: stop it, or move it to another port",
  ]);
});

test("a Docker from elsewhere is told", () => {
  expect(parseClashes("a", "---\n/snap/bin/docker\n", wanted)).toEqual([
    expect.stringContaining("/snap/bin/docker is of neither docker.io nor docker-ce"),
  ]);
});
