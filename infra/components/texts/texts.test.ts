import { expect, test } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync, chmodSync, readFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agentPaths } from "../../../runtime/domain/index.js";
import { hostAndPort } from "../common.js";
import { dnsmasqConfig } from "./dnsmasq.js";
import { pruneScript } from "./prune.js";
import { clientConfig, serverConfig, tokenRule } from "./rsyslog.js";
import { agentUnit, statusUnit } from "./units.js";

const HOME = "/home/claude";

test("services are started again for ever, and the agent's stop harms no container", () => {
  for (const text of [agentUnit(222, HOME), statusUnit(223)]) {
    expect(text).toMatch(/\nRestart=always\nRestartSec=1\n/);
    expect(text).toContain("StartLimitIntervalSec=0");
  }
  expect(agentUnit(222, HOME)).toMatch(/After=.*docker\.service/);
  expect(agentUnit(222, HOME)).toMatch(/serve\n/);
  expect(agentUnit(2222, HOME)).toMatch(/serve --port 2222\n/);
});

test("services write only where their files are", () => {
  expect(agentUnit(222, "/srv/sessions")).toMatch(/\nBindPaths=\/srv\/sessions\n/);
  for (const text of [agentUnit(222, HOME), statusUnit(223)]) expect(text).toMatch(/\nProtectSystem=strict\n/);
});

test("dnsmasq listens on loopback and on an address, and a name is no address; on the sessions' network where they are", () => {
  expect(dnsmasqConfig("192.0.2.1", false)).toMatch(/listen-address=127\.0\.0\.1\nlisten-address=192\.0\.2\.1\naddn/);
  expect(dnsmasqConfig("127.0.0.1", true)).toMatch(/dynamic\nlisten-address=127\.0\.0\.1\ninterface=convocate0\n/);
  expect(dnsmasqConfig("shell.example.net", true)).not.toMatch(/listen-address|interface/);
});

test("an address has its port only when it is not the usual one, and an IPv6 one has brackets", () => {
  expect(hostAndPort("192.0.2.1", 223, 223)).toBe("192.0.2.1");
  expect(hostAndPort("192.0.2.1", 2223, 223)).toBe("192.0.2.1:2223");
  expect(hostAndPort("2001:db8::1", 2223, 223)).toBe("[2001:db8::1]:2223");
});

test("the log server trusts names of its list and a token, and what rsyslog would expand is escaped", () => {
  const text = serverConfig(["b", "a"], "claude");
  expect(text).toContain('tls.permittedPeer=["a", "b"]');
  expect(text).toContain('tls.authMode="name"');
  // A bare $ in double quotes ends rsyslog's parsing of the whole file.
  expect(text.match(/"[^"\n]*(?<!\\)\$[^"\n]*"/g)?.filter((one) => !one.includes("$.")) ?? []).toEqual([]);
  expect(tokenRule("abcdefgh", "f00")).toContain('if $.token == "f00" then { set $.agent = "abcdefgh"; }');
  expect(clientConfig("192.0.2.1", "f00")).toContain('target="192.0.2.1" port="514"');
});

/** Runs the daily job with a docker of our own and returns what it removed. */
function prune(current: string | null, images: string[], used: string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), "convocate-prune-"));
  try {
    const stub = `#!/bin/sh
case "$1 $2" in
"ps --all") printf '%s\\n' ${used.join(" ")} ;;
"image ls") printf '%s\\n' ${images.map((one) => `'${one}'`).join(" ")} ;;
"image rm") echo "$4" >>${folder}/removed ;;
esac`;
    writeFileSync(join(folder, "docker"), stub);
    writeFileSync(join(folder, "logger"), "#!/bin/sh\n");
    for (const name of ["docker", "logger"]) chmodSync(join(folder, name), 0o755);
    if (current !== null) writeFileSync(join(folder, "current"), `${current}\n`);
    const script = pruneScript
      .replaceAll(agentPaths.currentImage, join(folder, "current"))
      .replaceAll(agentPaths.imageLock, join(folder, "lock"));
    execFileSync("sh", ["-c", script], { env: { PATH: `${folder}:${process.env.PATH ?? ""}` } });
    const removed = join(folder, "removed");
    return existsSync(removed) ? readFileSync(removed, "utf8").trim().split("\n") : [];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("the daily job keeps the current image and what containers use, and removes the rest", () => {
  const images = ["convocate:1.0.0", "convocate:2.0.0", "convocate:3.0.0", "convocate:<none>"];
  expect(prune("convocate:3.0.0", images, ["convocate:1.0.0"])).toEqual(["convocate:2.0.0"]);
  expect(prune("convocate:3.0.0", images, [])).toEqual(["convocate:1.0.0", "convocate:2.0.0"]);
});

test("the daily job removes nothing without a current image", () => {
  expect(prune(null, ["convocate:1.0.0"], [])).toEqual([]);
  expect(prune("", ["convocate:1.0.0"], [])).toEqual([]);
});
