import { expect, test } from "@jest/globals";
import { sha256 } from "./files.js";
import { EGRESS, parseSessionRules, rulesUnit, sessionRules, type SessionRules } from "./session-firewall.js";

const rules: SessionRules = {
  egress: ["192.168.1.0/24", "192.168.7.20:5432/tcp", "10.0.0.0/8:8000-8999"],
  nameServers: ["192.0.2.10", "192.168.1.1"],
  dnsHere: false,
  doors: [222],
  otherDoors: ["192.0.2.10:223", "192.0.2.10:514"],
};

/** Lines of one chain, in order. */
function chain(text: string, name: string): string[] {
  const body = new RegExp(`chain ${name} \\{\\n([^}]*(?:\\}[^\\n]+\\n[^}]*)*?)\\n\\t\\}`).exec(text)?.[1] ?? "";
  return body.split("\n").map((line) => line.trim());
}

test("sessions may answer, ask for names, reach what egress names, and then nothing private", () => {
  const lines = chain(sessionRules(rules), "from_sessions");
  expect(lines.slice(0, -2)).toEqual([
    "ct state established,related accept",
    "ip daddr 192.0.2.10 meta l4proto { tcp, udp } th dport 53 accept",
    "ip daddr 192.168.1.1 meta l4proto { tcp, udp } th dport 53 accept",
    "ip daddr 192.0.2.10 tcp dport 223 goto refuse",
    "ip daddr 192.0.2.10 tcp dport 514 goto refuse",
    "ip daddr 192.168.1.0/24 accept",
    "ip daddr 192.168.7.20 tcp dport 5432 accept",
    "ip daddr 10.0.0.0/8 meta l4proto { tcp, udp } th dport 8000-8999 accept",
  ]);
  for (const range of ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"])
    expect(lines.at(-2)).toContain(range);
  expect(lines.at(-1)).toBe("meta nfproto ipv6 goto refuse");
});

test("this host's doors stay shut to them before egress is asked, and so does everything else at the end", () => {
  expect(chain(sessionRules(rules), "to_host").slice(1)).toEqual([
    "tcp dport 222 goto refuse",
    "ip daddr 192.168.1.0/24 accept",
    "ip daddr 192.168.7.20 tcp dport 5432 accept",
    "ip daddr 10.0.0.0/8 meta l4proto { tcp, udp } th dport 8000-8999 accept",
    "goto refuse",
  ]);
  expect(chain(sessionRules({ ...rules, dnsHere: true }), "to_host")[1]).toBe(
    "meta l4proto { tcp, udp } th dport 53 accept",
  );
});

test("nothing is said where there is nothing to say", () => {
  const text = sessionRules({ egress: [], nameServers: [], dnsHere: false, doors: [222], otherDoors: [] });
  expect(chain(text, "from_sessions")).toHaveLength(3);
});

test("into their network comes what was asked for, and what was sent to a published port", () => {
  expect(chain(sessionRules(rules), "to_sessions")).toEqual([
    "ct state established,related accept",
    "ct status dnat accept",
    "drop",
  ]);
});

test("the whole is one transaction, loaded before Docker, and never without rules on a restart", () => {
  expect(sessionRules(rules)).toMatch(
    /^#.*\ntable inet convocate\ndelete table inet convocate\ntable inet convocate \{/,
  );
  expect(rulesUnit).toContain("Before=docker.service");
  expect(rulesUnit).not.toContain("ExecStop");
});

test("a range is IPv4, with ports or without", () => {
  for (const good of ["10.0.0.0/8", "10.1.2.3", "10.1.2.3:80", "10.1.2.3:80/udp", "10.0.0.0/8:1-2/tcp"])
    expect(good).toMatch(EGRESS);
  for (const bad of ["", "fd00::/8", "10.0.0.0/8; drop", "10.1.2.3:", "10.1.2.3:80/icmp", "host", "10.1.2.3 accept"])
    expect(bad).not.toMatch(EGRESS);
});

test("what a host says is read: its name servers, the file and what the kernel has", () => {
  const hash = sha256("x");
  expect(parseSessionRules(`10.0.0.1\n8.8.8.8\n===\n${hash}  -\n===\n${hash}  -\n`)).toEqual({
    resolvers: ["10.0.0.1", "8.8.8.8"],
    file: hash,
    loaded: hash,
  });
  expect(parseSessionRules("===\n===\n")).toEqual({ resolvers: [], file: "", loaded: "" });
});
