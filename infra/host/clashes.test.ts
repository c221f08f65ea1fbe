import { expect, test } from "@jest/globals";
import { parseClashes, type WantedPort } from "./clashes.js";

const wanted: WantedPort[] = [
  { port: 222, what: "convocate-agent", ours: ["node"] },
  { port: 53, what: "dnsmasq", ours: ["dnsmasq", "systemd-resolve"] },
];

test("what listens where we must is told by name, and what is ours or fits is not", () => {
  expect(parseClashes("a", "222 node\n53 systemd-resolve\n53 dnsmasq\n---\n---\n", wanted)).toEqual([]);
  expect(parseClashes("a", "222 sshd\n222 sshd\n53 named\n---\n---\n", wanted)).toEqual([
    "a: sshd listens on port 222, which convocate-agent needs: stop it, or move it to another port",
    "a: named listens on port 53, which dnsmasq needs: stop it, or move it to another port",
  ]);
});

test("a Docker from elsewhere is told", () => {
  expect(parseClashes("a", "---\n---\n/snap/bin/docker\n", wanted)).toEqual([
    expect.stringContaining("/snap/bin/docker is of neither docker.io nor docker-ce"),
  ]);
});

test("an rsyslog that its owner configured for what we need is told, with the file", () => {
  const log = [{ port: 514, what: "the log server", ours: ["rsyslogd"] }];
  expect(parseClashes("a", "514 rsyslogd\n---\n---\n", log)).toEqual([]);
  expect(parseClashes("a", "514 rsyslogd as this host configures it\n---\n---\n", log)).toEqual([
    expect.stringContaining("rsyslogd as this host configures it listens on port 514, which the log server needs"),
  ]);
  expect(parseClashes("a", "---\n/etc/rsyslog.d/50-own.conf imjournal\n---\n", log)).toEqual([
    expect.stringContaining("/etc/rsyslog.d/50-own.conf loads rsyslog's imjournal"),
  ]);
});
