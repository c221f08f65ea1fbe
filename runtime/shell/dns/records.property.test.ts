import { isIP } from "node:net";
import { expect, jest, test } from "@jest/globals";
import fc from "fast-check";
import { evilText } from "../../../test/support/hostile.js";
import { AgentId, DnsName, newAgentId, newSessionId, SessionId } from "../../domain/index.js";
import { hostsFile, parseHostsFile } from "./records.js";

// Hundreds of runs, on machines that do other things too.
jest.setTimeout(120_000);

test("a hosts file of any content gives records that keep the rules, and writing them loses none", () => {
  const word = fc.oneof(
    evilText(),
    fc.ipV4(),
    fc.ipV6(),
    fc.domain(),
    fc.constant("#"),
    fc.constantFrom<string>(newAgentId(), newSessionId()),
  );
  const good = fc
    .tuple(fc.ipV4(), fc.domain())
    .map(([address, name]) => `${address} ${name} # ${newAgentId()} ${newSessionId()}`);
  const line = fc.oneof(
    fc.array(word, { maxLength: 6 }).map((words) => words.join(" ")),
    good,
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const records = parseHostsFile(lines.join("\n"));
      for (const { addresses, name, agent, session } of records) {
        for (const address of addresses) expect(isIP(address)).not.toBe(0);
        expect(DnsName.parse(name)).toBe(name);
        AgentId.parse(agent);
        SessionId.parse(session);
      }
      const text = hostsFile(records);
      expect(hostsFile(parseHostsFile(text))).toBe(text);
    }),
    { numRuns: 300 },
  );
});
