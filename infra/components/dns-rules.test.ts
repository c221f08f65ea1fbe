import { expect, test } from "@jest/globals";
import { dnsRules } from "./dns-rules.js";

const inventory = (shell: string, ...agents: string[]): Parameters<typeof dnsRules>[0] =>
  ({
    shell: { clusterAddress: shell },
    agents: agents.map((clusterAddress) => ({ clusterAddress, onShellHost: false })),
  }) as Parameters<typeof dnsRules>[0];

const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"].map((from) => `53 from ${from}`);

test("the shell answers private networks and the agents, and nobody else", () => {
  expect(dnsRules(inventory("192.0.2.10"))).toEqual(PRIVATE);
  expect(dnsRules(inventory("10.0.0.1", "10.0.0.2", "172.31.0.9", "100.100.1.1"))).toEqual(PRIVATE);
  expect(dnsRules(inventory("192.0.2.10", "192.0.2.11", "172.32.0.1"))).toEqual([
    ...PRIVATE,
    "53 from 192.0.2.11",
    "53 from 172.32.0.1",
  ]);
  expect(dnsRules(inventory("2001:db8::1", "fd00::2", "2001:db8::2"))).toEqual([
    "53 from fc00::/7",
    "53 from fe80::/10",
    "53 from 2001:db8::2",
  ]);
});

test("where nobody can say from where an agent asks, the port is open", () => {
  expect(dnsRules(inventory("192.0.2.10", "192.0.2.11", "agent.example.com"))).toEqual(["53"]);
});
