import { X509Certificate } from "node:crypto";
import type { Facts, Questions } from "./facts.js";
import { Walk, type Finding } from "./finding.js";

const DAY_MS = 86_400_000;
/** Certificates are made anew by an `up` from so many days before their end (SPEC 8.4). */
const RENEW_DAYS = 60;
/** TLS and the order of events bear this much; more and logs are hard to read side by side. */
const SKEW_WARN_MS = 2_000;
const SKEW_FAIL_MS = 60_000;
const DISK_WARN = 0.1;
const DISK_FAIL = 0.03;
/** A queue of log lines that is not taken: the log server is down, or refuses us. */
const SPOOL_WARN_BYTES = 10_000_000;

export interface Asked {
  host: string;
  questions: Questions;
  /** Our clock before and after the look. */
  clock: { beforeMs: number; afterMs: number };
  /** The verb that repairs drift on this host, as a command to type. */
  repair: string;
}

/** What the facts mean, each with the command that mends it. Pure. */
export function judge(facts: Facts, asked: Asked, nowMs = Date.now()): Finding[] {
  const walk = new Walk(asked.host);
  const { questions, repair } = asked;
  for (const unit of questions.units) judgeUnit(walk, unit, facts.get(`unit.${unit}`) ?? "", repair);
  for (const { port, unit } of questions.ports)
    walk.holds(
      `port ${port}`,
      Number(facts.get(`port.${port}`) ?? 0) > 0,
      "is listened on",
      "nobody listens on it",
      `journalctl -u ${unit} -n 20 (on ${asked.host})`,
    );
  for (const key of questions.keys) {
    const mode = facts.get(`key.${key}`) ?? "missing";
    const good = /^\d?[0-7][04]0$/.test(mode);
    walk.holds(`key ${key}`, good, `is there, mode ${mode}`, mode === "missing" ? mode : `has mode ${mode}`, repair);
  }
  judgeClock(walk, Number(facts.get("now")) * 1000, asked);
  judgeCertificate(walk, questions, facts.get("certificate"), repair, nowMs);
  judgeDisk(walk, "/", facts.get("disk./"));
  walk.holds(
    "firewall",
    /active$/.test(facts.get("firewall") ?? "") && !/inactive/.test(facts.get("firewall") ?? ""),
    "ufw is active",
    "ufw is not active",
    repair,
  );
  walk.holds(
    "rsyslog",
    facts.get("rsyslog") === "good",
    "takes its configuration",
    "objects to its configuration",
    `rsyslogd -N1 (on ${asked.host})`,
  );
  if (facts.get("cgroup") === "v1")
    walk.warn(
      "cgroup",
      "v1: sessions work, and v2 tells more of their memory",
      "boot with systemd.unified_cgroup_hierarchy=1",
    );
  if (questions.homes !== "") judgeAgent(walk, facts, asked);
  return walk.findings;
}

function judgeUnit(walk: Walk, unit: string, state: string, repair: string): void {
  const [active = "unknown", enabled = "unknown"] = state.split(" ");
  if (active !== "active") walk.fail(unit, `is ${active}`, repair);
  else if (enabled !== "enabled") walk.warn(unit, `runs, and does not start at boot (${enabled})`, repair);
  else walk.ok(unit, "runs");
}

function judgeClock(walk: Walk, hostMs: number, { host, clock }: Asked): void {
  // The host read its clock at some moment between our two.
  const skew = hostMs < clock.beforeMs ? hostMs - clock.beforeMs : Math.max(0, hostMs - clock.afterMs);
  const says = `is ${Math.abs(skew / 1000).toFixed(1)} s ${skew < 0 ? "behind" : "ahead of"} this machine's`;
  const mend = `timedatectl set-ntp true (on ${host})`;
  if (Math.abs(skew) >= SKEW_FAIL_MS) walk.fail("clock", says, mend);
  else if (Math.abs(skew) >= SKEW_WARN_MS) walk.warn("clock", says, mend);
  else walk.ok("clock", "agrees with this machine's");
}

function judgeCertificate(
  walk: Walk,
  questions: Questions,
  base64: string | undefined,
  repair: string,
  nowMs: number,
): void {
  if (questions.certificate === "") return;
  let days: number;
  try {
    const certificate = new X509Certificate(Buffer.from(base64 ?? "", "base64"));
    days = Math.floor((Date.parse(certificate.validTo) - nowMs) / DAY_MS);
  } catch {
    walk.fail("certificate", `${questions.certificate} is no certificate`, repair);
    return;
  }
  if (days < 0) walk.fail("certificate", `ended ${-days} days ago`, repair);
  else if (days < RENEW_DAYS) walk.warn("certificate", `ends in ${days} days`, repair);
  else walk.ok("certificate", `good for ${days} days`);
}

/** What frees a disk that Docker and the system write to. */
const FREE = "docker image prune; journalctl --vacuum-size=500M; or a larger disk";

function judgeDisk(walk: Walk, what: string, seen: string | undefined, mend = FREE): void {
  const [free = 0, size = 0] = (seen ?? "").split(/\s+/).map(Number);
  if (!(size > 0)) return;
  const says = `${Math.floor(free / 1e9)} GB of ${Math.ceil(size / 1e9)} GB free`;
  if (free / size < DISK_FAIL) walk.fail(`disk ${what}`, says, mend);
  else if (free / size < DISK_WARN) walk.warn(`disk ${what}`, says, mend);
  else walk.ok(`disk ${what}`, says);
}

function judgeAgent(walk: Walk, facts: Facts, { host, repair, questions: { homes } }: Asked): void {
  const [driver = "", liveRestore = ""] = (facts.get("docker") ?? "").split(" ");
  walk.holds("docker", driver !== "", "answers", "does not answer", `systemctl restart docker (on ${host})`);
  if (driver !== "") {
    walk.holds(
      "cgroup driver",
      driver === "systemd",
      "is systemd's",
      `is ${driver}: sessions would land outside the slice`,
      repair,
    );
    walk.holds("live-restore", liveRestore === "true", "is on", "is off: sessions die with dockerd", repair);
  }
  judgeDisk(walk, "of Docker", facts.get("disk.docker"));
  const largest = `du -sh ${homes}/* | sort -h (on ${host}), and convocate delete what is not needed; or a larger disk`;
  if (facts.get("disk.homes")) judgeDisk(walk, "of sessions", facts.get("disk.homes"), largest);
  else walk.fail("disk of sessions", `${homes} is not there`, repair);
  const quota = facts.get("slice.quota") ?? "";
  const limit = Number(facts.get("slice.memoryMax"));
  walk.holds(
    "slice",
    facts.get("slice") === "active" && quota !== "infinity" && Number.isFinite(limit),
    "is up, with its limits",
    "is not up, or has no limits",
    repair,
  );
  const used = Number(facts.get("slice.memory"));
  if (Number.isFinite(limit) && Number.isFinite(used) && limit > 0) {
    const percent = Math.round((used / limit) * 100);
    if (percent >= 95)
      walk.warn("slice memory", `${percent}% of its limit is used`, "convocate ls: stop what is not needed");
    else walk.ok("slice memory", `${percent}% of its limit is used`);
  }
  const stalled = Number(/avg10=([\d.]+)/.exec(facts.get("slice.pressure") ?? "")?.[1] ?? 0);
  if (stalled > 10)
    walk.warn(
      "slice pressure",
      `sessions waited for memory ${stalled}% of the last 10 s`,
      "convocate ls: stop what is not needed",
    );
  const image = facts.get("image") ?? "";
  walk.holds(
    "image",
    image !== "" && facts.get("image.here") === "ok",
    `${image} is here`,
    image === "" ? "no current image" : `${image} is not here`,
    repair,
  );
  const spool = Number(facts.get("spool") ?? 0);
  if (spool > SPOOL_WARN_BYTES)
    walk.warn(
      "log queue",
      `${Math.ceil(spool / 1e6)} MB wait to be sent`,
      `systemctl status rsyslog (on ${host} and on the shell host)`,
    );
}
