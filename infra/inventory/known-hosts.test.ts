import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { KEY, OTHER_KEY, testFolder } from "../../test/support/inventory.js";
import { KnownHosts } from "./known-hosts.js";

const { file } = testFolder();

test("finds what ssh-keygen finds: plain, hashed, with a port, by pattern; and leaves out what is revoked", () => {
  const path = file(
    "known_hosts",
    `plain,10.0.0.9 ${KEY}\n[porty]:2222 ${OTHER_KEY}\n*.lab,!not.lab ${KEY}\n@cert-authority *.lab ${OTHER_KEY}\n`,
  );
  execFileSync("ssh-keygen", ["-q", "-H", "-f", path], { stdio: "ignore" });
  const hashed = readFileSync(path, "utf8");
  expect(hashed).toContain("|1|");
  const known = new KnownHosts(`${hashed}\n@revoked plain ${KEY}\nplain ${OTHER_KEY}\n`);
  expect(known.keysOf("10.0.0.9", 22)).toEqual([KEY]);
  expect(known.keysOf("porty", 2222)).toEqual([OTHER_KEY]);
  expect(known.keysOf("porty", 22)).toEqual([]);
  expect(known.keysOf("a.lab", 22)).toEqual([KEY]);
  expect(known.keysOf("not.lab", 22)).toEqual([]);
  expect(known.keysOf("plain", 22)).toEqual([OTHER_KEY]);
});
