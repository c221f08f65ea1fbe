import { expect, test } from "@jest/globals";
import { AgentId, newSessionId } from "../../domain/index.js";
import { hostsFile, parseHostsFile } from "./records.js";

const agent = AgentId.parse("agentaaa");

test("records are written sorted, a line per address, and read back as they were", () => {
  const [one, two] = [newSessionId(), newSessionId()];
  const records = [
    { name: "web.example", agent, session: one, addresses: ["192.0.2.1", "2001:db8::1"] },
    { name: "api", agent, session: two, addresses: ["192.0.2.2"] },
  ];
  const text = hostsFile(records);
  expect(text.split("\n").slice(1, -1)).toEqual([
    `192.0.2.2 api # agentaaa ${two}`,
    `192.0.2.1 web.example # agentaaa ${one}`,
    `2001:db8::1 web.example # agentaaa ${one}`,
  ]);
  expect(parseHostsFile(text)).toEqual([records[1], records[0]]);
  expect(hostsFile([...records].reverse())).toBe(text);
});

test("lines of somebody else are no records", () => {
  const id = newSessionId();
  const lines = [
    "127.0.0.1 localhost",
    `not-an-ip web # agentaaa ${id}`,
    `192.0.2.1 bad_name # agentaaa ${id}`,
    `192.0.2.1 web # agent ${id}`,
    "192.0.2.1 web # agentaaa ..",
    `192.0.2.1 web agentaaa ${id}`,
    "",
  ];
  expect(parseHostsFile(lines.join("\n"))).toEqual([]);
});
