import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  authorityProblem,
  daysLeft,
  isIssuedBy,
  isWorthRenewing,
  newAuthority,
  newCertificate,
  type IssuedCertificate,
} from "./certificates.js";

// Short keys: a real one takes seconds to find on a busy machine.
const BITS = 1024;
let authority: IssuedCertificate;
beforeAll(async () => {
  authority = await newAuthority("convocate test", BITS);
}, 60_000);

test("an authority lasts ten years, signs itself, and is marked as one", () => {
  const cert = new X509Certificate(authority.certPem);
  expect(cert.ca).toBe(true);
  expect(cert.checkPrivateKey(createPrivateKey(authority.keyPem))).toBe(true);
  expect(cert.verify(cert.publicKey)).toBe(true);
  expect(daysLeft(authority.certPem, Date.now())).toBeGreaterThan(3650);
});

test("a certificate has its name as CN and only SAN, its one use, and a year", async () => {
  const issued = await newCertificate(authority, "agent-1", "client", BITS);
  const cert = new X509Certificate(issued.certPem);
  expect(cert.subject).toBe("CN=agent-1");
  expect(cert.subjectAltName).toBe("DNS:agent-1");
  expect(cert.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
  expect(cert.ca).toBe(false);
  expect(cert.checkPrivateKey(createPrivateKey(issued.keyPem))).toBe(true);
  expect(isIssuedBy(issued.certPem, authority.certPem)).toBe(true);
  expect(daysLeft(issued.certPem, Date.now())).toBeGreaterThanOrEqual(364);
}, 60_000);

test("a certificate of another authority is told", async () => {
  const other = await newAuthority("convocate test", BITS);
  const issued = await newCertificate(other, "agent-1", "server", BITS);
  expect(isIssuedBy(issued.certPem, authority.certPem)).toBe(false);
}, 60_000);

/** Authorities as others make them, with openssl. */
const dir = mkdtempSync(join(tmpdir(), "convocate-ca-"));
afterAll(() => rmSync(dir, { recursive: true }));
function byOpenssl(
  name: string,
  { days = 30, key = ["rsa:1024"], ext = "basicConstraints=critical,CA:TRUE" } = {},
): IssuedCertificate {
  const [certFile, keyFile] = [join(dir, `${name}.crt`), join(dir, `${name}.key`)];
  const argv = ["req", "-x509", "-newkey", ...key, "-noenc", "-days", String(days), "-subj", `/O=Elsewhere/CN=${name}`];
  execFileSync("openssl", [...argv, "-addext", ext, "-keyout", keyFile, "-out", certFile], { stdio: "ignore" });
  return { certPem: readFileSync(certFile, "utf8"), keyPem: readFileSync(keyFile, "utf8") };
}

test("an authority from elsewhere signs what openssl takes, also one that names its key in its own way", async () => {
  const elsewhere = byOpenssl("elsewhere", { ext: "subjectKeyIdentifier=01:02:03:04" });
  expect(authorityProblem(elsewhere.certPem, elsewhere.keyPem, Date.now())).toBeUndefined();
  const issued = await newCertificate(elsewhere, "agent-1", "client", BITS);
  writeFileSync(join(dir, "issued.crt"), issued.certPem);
  const argv = [
    "verify",
    "-partial_chain",
    "-auth_level",
    "0",
    "-purpose",
    "sslclient",
    "-CAfile",
    join(dir, "elsewhere.crt"),
    join(dir, "issued.crt"),
  ];
  expect(execFileSync("openssl", argv, { encoding: "utf8" })).toContain("OK");
}, 60_000);

test("no certificate is good for longer than its authority, and none is made anew for nothing", async () => {
  const short = byOpenssl("short", { days: 30 });
  const issued = await newCertificate(short, "agent-1", "client", BITS);
  expect(new X509Certificate(issued.certPem).validTo).toBe(new X509Certificate(short.certPem).validTo);
  expect(isWorthRenewing(issued.certPem, short.certPem, Date.now(), 60)).toBe(false);
  const year = await newCertificate(authority, "agent-1", "client", BITS);
  expect(isWorthRenewing(year.certPem, authority.certPem, Date.now(), 60)).toBe(false);
  expect(isWorthRenewing(year.certPem, authority.certPem, Date.now() + 310 * 86_400_000, 60)).toBe(true);
  // As an earlier release made them.
  expect(isWorthRenewing(year.certPem, short.certPem, Date.now(), 60)).toBe(true);
}, 60_000);

test("an authority from elsewhere that will not do is told why", () => {
  const good = byOpenssl("good");
  const now = Date.now();
  const says = (certPem: string, keyPem: string, at = now): string | undefined => {
    const problem = authorityProblem(certPem, keyPem, at);
    return problem && `${problem.of} ${problem.says}`;
  };
  const leaf = byOpenssl("leaf", { ext: "basicConstraints=CA:FALSE" });
  expect(says("no PEM", good.keyPem)).toBe("cert is no certificate in PEM form");
  expect(says(leaf.certPem, leaf.keyPem)).toMatch(/^cert is no certificate of an authority/);
  expect(says(good.certPem, good.keyPem, now + 31 * 86_400_000)).toMatch(/^cert expired on /);
  expect(says(good.certPem, good.keyPem, now - 86_400_000)).toMatch(/^cert is not valid before /);
  expect(says(good.certPem, leaf.keyPem)).toBe("key is not the certificate's key");
  expect(says(good.certPem, "no PEM")).toMatch(/^key is no private key/);
  const elliptic = byOpenssl("elliptic", { key: ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] });
  expect(says(elliptic.certPem, elliptic.keyPem, Date.now())).toBe("key is of type ec: RSA is wanted");
}, 60_000);
