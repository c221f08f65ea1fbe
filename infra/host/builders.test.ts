import { describe, expect, test } from "@jest/globals";
import { mergeDaemonFile, parseDaemon } from "./docker.js";
import { parseFacts } from "./facts.js";
import { ABSOLUTE_PATH, normalMode, parseLook, writeInput } from "./files.js";
import { allowArgv, deleteArgv, parseFirewall, RULE } from "./firewall.js";
import { parseImage } from "./image.js";
import { parseKeyPair } from "./keys.js";
import { installArgv, missing, PACKAGE_SPEC, parsePolicy, parseQuery } from "./packages.js";
import { wrapper } from "./program.js";
import { scriptArgv } from "./script.js";
import { parseUnit } from "./systemd.js";
import { parseAccount, useraddArgv } from "./users.js";

// What is built for a host, and what is read from what it prints. That real hosts agree is test/acceptance's to see.

const hash = "a".repeat(64);

describe("files", () => {
  test("content of any bytes follows its header by count, parents before children", () => {
    const root = { owner: "root", group: "root" };
    const input = writeInput({
      "/etc/x/b": { type: "file", content: "two\nlines", mode: "0600", ...root },
      "/etc/x": { type: "directory", mode: "0750", ...root },
    });
    expect(input.toString()).toBe("directory 0750 root root 0 /etc/x\nfile 0600 root root 9 /etc/x/b\ntwo\nlines");
  });

  test.each(["/etc/a b", "/etc/a\nb", "/etc/\tb"])("the path %j would break a header and is refused", (path) => {
    const entry = { type: "file", content: "", mode: "0600", owner: "root", group: "root" } as const;
    expect(() => writeInput({ [path]: entry })).toThrow(expect.objectContaining({ code: "BAD_PARAMS" }));
  });

  test.each([
    ["/etc/convocate/agent-keys/abc12345/agent-host", true],
    ["/etc", true],
    ["etc/x", false],
    ["/etc/../root", false],
    ["/etc/./x", false],
    ["/etc/x/", false],
    ["/etc//x", false],
    ["/etc/$(id)", false],
    ["/etc/a b", false],
    ["/", false],
  ])("is %s a path we take: %s", (path, taken) => {
    expect(ABSOLUTE_PATH.test(path)).toBe(taken);
  });

  test("what stat and sha256sum print becomes what is there, and what they do not name is missing", () => {
    const stdout = [
      "regular file|644|root|root|/a",
      "directory|750|root|claude|/b",
      "symbolic link|777|root|root|/c",
      "regular empty file|600|root|root|/e",
      "---",
      `${hash}  /a`,
      `${hash}  /e`,
    ].join("\n");
    expect(parseLook(stdout, ["/a", "/b", "/c", "/d", "/e"])).toEqual({
      "/a": { type: "file", mode: "0644", owner: "root", group: "root", sha256: hash },
      "/b": { type: "directory", mode: "0750", owner: "root", group: "claude" },
      "/c": { type: "other" },
      "/d": { type: "missing" },
      "/e": { type: "file", mode: "0600", owner: "root", group: "root", sha256: hash },
    });
  });

  test("modes are compared whatever their zeros", () => {
    expect([normalMode("644"), normalMode("0644"), normalMode("4755")]).toEqual(["0644", "0644", "4755"]);
  });
});

test("arguments of a script stay arguments, and are no part of its text", () => {
  const argv = scriptArgv('echo "$1"', ["$(reboot)"]);
  expect(argv).toEqual(["env", "LC_ALL=C", "sh", "-euc", 'echo "$1"', "convocate", "$(reboot)"]);
});

describe("facts", () => {
  const facts = (os: string, arch = "x86_64", init = "systemd"): string =>
    `os=${os}\narch=${arch}\ncpus=4\nmemory=1000\ncgroup=v2\ninit=${init}\n`;

  test.each(["debian 12", "debian 13", "debian 0", "ubuntu 22.04", "ubuntu 24.04"])("%s is taken", (os) => {
    expect(parseFacts("h", facts(os))).toEqual({ os, arch: "x64", cpus: 4, memoryBytes: 1_024_000, cgroup: "v2" });
  });

  test.each([
    ["debian 11", "x86_64", "systemd"],
    ["ubuntu 20.04", "x86_64", "systemd"],
    ["fedora 43", "x86_64", "systemd"],
    ["debian 12", "riscv64", "systemd"],
    ["debian 12", "x86_64", "other"],
  ])("%s on %s with init %s is refused by name", (os, arch, init) => {
    expect(() => parseFacts("h7", facts(os, arch, init))).toThrow(
      expect.objectContaining({ code: "UNSUPPORTED_HOST", message: expect.stringContaining("h7") }),
    );
  });
});

describe("packages", () => {
  const installed = parseQuery("tmux installed\ndocker-ce installed\ngone config-files\n");
  test("an alternative satisfies, a removed package does not", () => {
    expect(missing(["tmux", "docker.io|docker-ce", "gone", "jq"], installed)).toEqual(["gone", "jq"]);
    expect(missing(["docker-cli|docker-ce?", "docker-cli|tini?"], installed)).toEqual(["docker-cli|tini?"]);
  });
  test("only a ? at its end makes one optional", () => {
    for (const good of ["tmux", "docker.io|docker-ce", "docker-cli?", "docker-cli|docker-ce-cli?"])
      expect(good).toMatch(PACKAGE_SPEC);
    for (const bad of ["?", "a?|b", "tmux??", "-y", "tmux ", "Tmux"]) expect(bad).not.toMatch(PACKAGE_SPEC);
  });
  test("apt can install what it has a candidate for", () => {
    const policy = `docker-cli:
  Installed: (none)
  Candidate: 26.1.5+dfsg1-9+deb13u1
  Version table:
     26.1.5+dfsg1-9+deb13u1 500
gone:
  Installed: 1.0
  Candidate: (none)
  Version table:
tmux:
  Installed: 3.5a-3
  Candidate: 3.5a-3
`;
    expect([...parsePolicy(policy)]).toEqual(["docker-cli", "tmux"]);
    expect(parsePolicy("").size).toBe(0);
  });
  test("are installed without questions or recommendations, and wait for another's lock", () => {
    const argv = installArgv(["tmux"]);
    expect(argv.slice(-2)).toEqual(["--", "tmux"]);
    for (const word of ["DEBIAN_FRONTEND=noninteractive", "--no-install-recommends", "DPkg::Lock::Timeout=300"])
      expect(argv).toContain(word);
  });
});

describe("docker", () => {
  const read = (file: string, info: string): string => `${file}\n===\n${info}\n===\nenabled\n`;

  test("daemon.json keeps what others set, and another cgroup driver gives way", () => {
    const text = '{"exec-opts":["native.cgroupdriver=cgroupfs","x=y"],"log-level":"warn"}';
    expect(JSON.parse(mergeDaemonFile(text, "h"))).toEqual({
      "exec-opts": ["x=y", "native.cgroupdriver=systemd"],
      "log-level": "warn",
      "live-restore": true,
    });
  });

  test("a daemon.json that is no JSON object is nobody's to overwrite", () => {
    for (const text of ["{", "[]", "3"])
      expect(() => mergeDaemonFile(text, "h")).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });

  test("file and running daemon are told apart, and one that does not answer is not running", () => {
    const found = parseDaemon(read('{"live-restore":true}', "cgroupfs false"));
    expect(found.file).toEqual({ systemdCgroups: false, liveRestore: true });
    expect(found.live).toEqual({ systemdCgroups: false, liveRestore: false });
    expect(parseDaemon(read("", "")).live).toBeNull();
  });
});

test("rules are read back as they were asked for, and others' are none of ours", () => {
  const found = parseFirewall(`active
---
### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### allow any 53 0.0.0.0/0 any 0.0.0.0/0 in comment=636f6e
### tuple ### deny tcp 23 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### allow tcp 222 0.0.0.0/0 any 10.0.0.0/8 in
### tuple ### allow any 53 0.0.0.0/0 any 192.0.2.11 in comment=636f6e
### tuple ### allow tcp 80 10.9.0.1 any 0.0.0.0/0 in
### tuple ### allow tcp 25 0.0.0.0/0 any 0.0.0.0/0 out
### tuple ### allow tcp 22 ::/0 any ::/0 in
### tuple ### allow any 53 ::/0 any fc00::/7 in
---
22
2200
`);
  expect(found).toEqual({
    active: true,
    allowed: ["22/tcp", "53", "222/tcp from 10.0.0.0/8", "53 from 192.0.2.11", "53 from fc00::/7"],
    sshPorts: [22, 2200],
  });
  for (const rule of found.allowed) expect(rule).toMatch(RULE);
  expect(allowArgv("22/tcp")).toEqual(["ufw", "allow", "22/tcp", "comment", "convocate"]);
  expect(allowArgv("53 from 10.0.0.0/8").join(" ")).toBe("ufw allow from 10.0.0.0/8 to any port 53 comment convocate");
  expect(deleteArgv("222/tcp from ::1").join(" ")).toBe("ufw --force delete allow from ::1 to any port 222 proto tcp");
});

test("a unit's words are read by name, whatever their order, and others are handed on", () => {
  const found = parseUnit(
    `MemoryMax=100\nUnitFileState=enabled\nActiveState=activating\nNeedDaemonReload=yes\n===\nregular file|644|root|root|/u\n---\n${hash}  /u\n`,
    "/u",
  );
  expect(found).toMatchObject({ active: false, enabled: true, needsReload: true, properties: { MemoryMax: "100" } });
  expect(found.file).toMatchObject({ type: "file", sha256: hash });
});

test("a private key that yields no ed25519 key counts as none", () => {
  const look = "regular file|600|root|root|/k\n---\n";
  expect(parseKeyPair(`ssh-rsa AAAA\n===\n\n===\n${look}`, "/k").publicKey).toBeNull();
  expect(parseKeyPair(`\n===\nssh-ed25519 AAAA\n===\n${look}`, "/k")).toMatchObject({
    publicKey: null,
    publicFile: "ssh-ed25519 AAAA",
  });
  expect(parseKeyPair(`ssh-ed25519 AAAB\n===\n\n===\n${look}`, "/k").publicKey).toBe("ssh-ed25519 AAAB");
});

test("an account is read with its home, and none is none", () => {
  expect(parseAccount("")).toBeNull();
  expect(parseAccount("claude:x:1337:1338::/home/claude:/bin/bash\n750 claude claude\nmissing\n")).toEqual({
    user: "claude",
    uid: 1337,
    gid: 1338,
    home: "/home/claude",
    shell: "/bin/bash",
    homeOwnership: "750 claude claude",
    skelOwnership: "missing",
  });
  expect(useraddArgv({ user: "claude", uid: 1, gid: 2, home: "/h", shell: "/bin/bash" })).toEqual(
    expect.arrayContaining(["--uid", "1", "--gid", "2", "--home-dir", "/h"]),
  );
});

test("an image is known by its id and its layers", () => {
  expect(parseImage("[]")).toBeNull();
  const inspected = [{ Id: `sha256:${hash}`, RootFS: { Layers: ["l"] }, Size: 7, Architecture: "amd64", More: 1 }];
  expect(parseImage(JSON.stringify(inspected))).toEqual({
    imageId: `sha256:${hash}`,
    layers: ["l"],
    sizeBytes: 7,
    architecture: "amd64",
  });
});

test("a wrapper runs our Node on that release and hands its arguments on", () => {
  expect(wrapper("convocate", "3.1.0", "24.0.0")).toMatch(
    /^#!\/bin\/sh\n[^]*exec \/usr\/local\/lib\/convocate\/node\/24\.0\.0\/bin\/node .*\/releases\/3\.1\.0\/convocate\.mjs "\$@"\n$/,
  );
});
