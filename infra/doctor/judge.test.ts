import { expect, test } from "@jest/globals";
import { newAuthority, newCertificate } from "../host/certificates.js";
import { parseFacts, type Questions } from "./facts.js";
import { judge, type Asked } from "./judge.js";

const questions: Questions = {
  units: ["convocate-agent.service", "rsyslog.service"],
  ports: [
    { port: 222, unit: "convocate-agent.service" },
    { port: 514, unit: "rsyslog.service" },
  ],
  certificate: "/etc/c.crt",
  keys: ["/etc/k"],
  slice: "convocate-sessions.slice",
  homes: "/home/claude",
};
const NOW = Date.parse("2026-11-21T00:00:00Z");
const asked: Asked = {
  host: "a",
  questions,
  clock: { beforeMs: NOW, afterMs: NOW + 100 },
  repair: "convocate-host init-agent --host a",
};
const certificate = await (async () => {
  const { certPem } = await newCertificate(await newAuthority("ca", 1024), "a", "client", 1024);
  return Buffer.from(certPem).toString("base64");
})();
const GOOD: Record<string, string> = {
  now: String((NOW + 50) / 1000),
  "unit.convocate-agent.service": "active enabled",
  "unit.rsyslog.service": "active enabled",
  "port.222": "1",
  "port.514": "1",
  "key./etc/k": "600",
  certificate,
  "disk./": "50000000000 100000000000",
  "disk.docker": "50000000000 100000000000",
  "disk.homes": "50000000000 100000000000",
  cgroup: "v2",
  firewall: "Status: active",
  rsyslog: "good",
  docker: "systemd true /var/lib/docker",
  slice: "active",
  "slice.quota": "1.800000s",
  "slice.memoryMax": "1000",
  "slice.memory": "100",
  "slice.pressure": "some avg10=0.00 avg60=0.00",
  image: "convocate:3.0.0",
  "image.here": "ok",
  spool: "0",
};
const walk = (changed: Record<string, string> = {}): ReturnType<typeof judge> =>
  judge(new Map(Object.entries({ ...GOOD, ...changed })), asked, Date.now());
const bad = (changed: Record<string, string>): string[] =>
  walk(changed)
    .filter(({ level }) => level !== "ok")
    .map(({ level, check }) => `${level} ${check}`);

test("a host in order has nothing to mend", () => {
  expect(bad({})).toEqual([]);
});

test.each<[string, Record<string, string>, string[]]>([
  ["a dead unit", { "unit.convocate-agent.service": "failed enabled" }, ["fail convocate-agent.service"]],
  ["a unit that boot forgets", { "unit.convocate-agent.service": "active disabled" }, ["warn convocate-agent.service"]],
  ["a closed port", { "port.222": "0" }, ["fail port 222"]],
  ["a key that all may read", { "key./etc/k": "644" }, ["fail key /etc/k"]],
  ["a key that is gone", { "key./etc/k": "missing" }, ["fail key /etc/k"]],
  ["a clock behind", { now: String(NOW / 1000 - 5) }, ["warn clock"]],
  ["a clock far ahead", { now: String(NOW / 1000 + 3600) }, ["fail clock"]],
  ["no certificate", { certificate: "" }, ["fail certificate"]],
  ["a full disk", { "disk./": "1000000000 100000000000" }, ["fail disk /"]],
  ["a disk of homes that fills up", { "disk.homes": "5000000000 100000000000" }, ["warn disk of sessions"]],
  ["a full disk of homes", { "disk.homes": "1000000000 100000000000" }, ["fail disk of sessions"]],
  ["homes that are not there", { "disk.homes": "" }, ["fail disk of sessions"]],
  ["a firewall that is off", { firewall: "Status: inactive" }, ["fail firewall"]],
  ["a silent Docker", { docker: "" }, ["fail docker"]],
  ["another cgroup driver", { docker: "cgroupfs false /var/lib/docker" }, ["fail cgroup driver", "fail live-restore"]],
  ["a slice without limits", { "slice.quota": "infinity" }, ["fail slice"]],
  ["a slice under pressure", { "slice.pressure": "some avg10=42.00 avg60=1" }, ["warn slice pressure"]],
  ["an image that is not there", { "image.here": "missing" }, ["fail image"]],
  ["a queue of log lines", { spool: "50000000" }, ["warn log queue"]],
])("%s is told with what mends it", (_, changed, expected) => {
  expect(bad(changed)).toEqual(expected);
  for (const { level, mend } of walk(changed)) expect(mend === undefined).toBe(level === "ok");
});

test("what frees the disk of the homes is told with where they are", () => {
  const mend = (free: string): (string | undefined)[] =>
    walk({ "disk.homes": `${free} 100000000000` }).flatMap((one) =>
      one.check === "disk of sessions" ? [one.mend] : [],
    );
  expect(mend("50000000000")).toEqual([undefined]);
  expect(mend("1000000000")).toEqual([
    "du -sh /home/claude/* | sort -h (on a), and convocate delete what is not needed; or a larger disk",
  ]);
});

test("a port that nobody listens on is told with the journal of its own unit", () => {
  const mends = walk({ "port.222": "0", "port.514": "0" }).flatMap(({ mend }) => mend ?? []);
  expect(mends).toEqual([
    "journalctl -u convocate-agent.service -n 20 (on a)",
    "journalctl -u rsyslog.service -n 20 (on a)",
  ]);
});

test("a certificate is told from 60 days before its end, and as a failure after it", () => {
  const later = (days: number): string[] =>
    judge(new Map(Object.entries(GOOD)), asked, Date.now() + days * 86_400_000)
      .filter(({ check }) => check === "certificate")
      .map(({ level }) => level);
  expect([later(300), later(310), later(370)]).toEqual([["ok"], ["warn"], ["fail"]]);
});

test("what a host printed is read by name, whatever else it says", () => {
  expect([...parseFacts("now=1.5\nnoise\nfirewall=Status: active\n")]).toEqual([
    ["now", "1.5"],
    ["firewall", "Status: active"],
  ]);
});
