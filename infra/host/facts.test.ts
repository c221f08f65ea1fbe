import { afterAll, expect, test } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FACTS, parseFacts } from "./facts.js";
import { scriptArgv } from "./script.js";

// os-release as each distribution ships it: the script reads it with a shell, as os-release(5) has it.

const dir = mkdtempSync(join(tmpdir(), "convocate-facts-"));
afterAll(() => rmSync(dir, { recursive: true }));

function osOf(release: string): string {
  const path = join(dir, "os-release");
  writeFileSync(path, release);
  const [program = "", ...argv] = scriptArgv(FACTS, [path]);
  const stdout = execFileSync(program, argv, { encoding: "utf8" });
  // Whatever this machine is beside that.
  return parseFacts("h", stdout.replace(/^init=.*$/m, "init=systemd").replace(/^arch=.*$/m, "arch=aarch64")).os;
}

const DEBIAN_12 = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
SUPPORT_URL="https://www.debian.org/support"
BUG_REPORT_URL="https://bugs.debian.org/"
`;
const DEBIAN_SID = `PRETTY_NAME="Debian GNU/Linux forky/sid"
NAME="Debian GNU/Linux"
VERSION_CODENAME=forky
ID=debian
HOME_URL="https://www.debian.org/"
`;
const ubuntu = (version: string, name: string, word: string): string => `PRETTY_NAME="Ubuntu ${version}.1 LTS"
NAME="Ubuntu"
VERSION_ID="${version}"
VERSION="${version}.1 LTS (${name})"
VERSION_CODENAME=${word}
ID=ubuntu
ID_LIKE=debian
HOME_URL="https://www.ubuntu.com/"
PRIVACY_POLICY_URL="https://www.ubuntu.com/legal/terms-and-policies/privacy-policy"
UBUNTU_CODENAME=${word}
`;

test("Debian and Ubuntu are known by their os-release", () => {
  expect(osOf(DEBIAN_12)).toBe("debian 12");
  expect(osOf(DEBIAN_SID)).toBe("debian 0");
  expect(osOf(ubuntu("22.04", "Jammy Jellyfish", "jammy"))).toBe("ubuntu 22.04");
  expect(osOf(ubuntu("24.04", "Noble Numbat", "noble"))).toBe("ubuntu 24.04");
});

test("older ones, and relatives of theirs, are refused by name", () => {
  expect(() => osOf(DEBIAN_12.replaceAll("12", "11"))).toThrow("h: debian 11 is not supported");
  expect(() => osOf(ubuntu("20.04", "Focal Fossa", "focal"))).toThrow("h: ubuntu 20.04 is not supported");
  const mint = 'NAME="Linux Mint"\nVERSION="22 (Wilma)"\nID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22"\n';
  expect(() => osOf(mint)).toThrow("h: linuxmint 22 is not supported; convocate wants Debian 12+ or Ubuntu 22.04+");
});
