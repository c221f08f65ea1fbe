import { beforeAll, expect, test } from "@jest/globals";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { daysLeft, isIssuedBy, newAuthority, newCertificate, type IssuedCertificate } from "./certificates.js";

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
