import { createPrivateKey, generateKeyPair, randomBytes, X509Certificate, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import forge from "node-forge";

const DAY_MS = 86_400_000;

export interface IssuedCertificate {
  certPem: string;
  /** PKCS#8, unencrypted: a secret. */
  keyPem: string;
}

const KEY_BITS = 3072;

/**
 * RSA keys by OpenSSL; node-forge, which cannot do ECDSA, only builds and signs the X.509 structure.
 */
async function newKey(modulusLength: number): Promise<{ publicPem: string; keyPem: string }> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)("rsa", {
    modulusLength,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  return { publicPem: publicKey, keyPem: privateKey };
}

function certificate(publicPem: string, commonName: string, days: number): forge.pki.Certificate {
  const cert = forge.pki.createCertificate();
  cert.publicKey = forge.pki.publicKeyFromPem(publicPem);
  // A leading 01 keeps the number positive, whatever follows.
  cert.serialNumber = `01${randomBytes(15).toString("hex")}`;
  // An hour of grace for hosts whose clocks are behind.
  cert.validity.notBefore = new Date(Date.now() - 3_600_000);
  cert.validity.notAfter = new Date(Date.now() + days * DAY_MS);
  cert.setSubject([{ name: "commonName", value: commonName }]);
  return cert;
}

/** A certificate authority of its own key, which signs certificates and no further authorities. Ten years (SPEC 8.4). */
export async function newAuthority(commonName: string, keyBits = KEY_BITS): Promise<IssuedCertificate> {
  const { publicPem, keyPem } = await newKey(keyBits);
  const cert = certificate(publicPem, commonName, 3653);
  cert.setIssuer(cert.subject.attributes);
  cert.setExtensions([
    { name: "basicConstraints", cA: true, pathLenConstraint: 0, critical: true },
    { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    { name: "subjectKeyIdentifier" },
  ]);
  cert.sign(forge.pki.privateKeyFromPem(keyPem), forge.md.sha256.create());
  return { certPem: unixLines(forge.pki.certificateToPem(cert)), keyPem };
}

/**
 * A certificate for one name and one use, a year long (SPEC 8.4) or as long as the authority's own. Its CN is its only SAN:
 * rsyslog's gtls driver takes either for the peer's name.
 */
export async function newCertificate(
  authority: IssuedCertificate,
  commonName: string,
  usage: "server" | "client",
  keyBits = KEY_BITS,
): Promise<IssuedCertificate> {
  const issuer = forge.pki.certificateFromPem(authority.certPem);
  const { publicPem, keyPem } = await newKey(keyBits);
  const cert = certificate(publicPem, commonName, 365);
  // None is good for longer than its issuer, and one that said so would be believed.
  if (issuer.validity.notAfter < cert.validity.notAfter) cert.validity.notAfter = issuer.validity.notAfter;
  cert.setIssuer(issuer.subject.attributes);
  cert.setExtensions([
    { name: "basicConstraints", cA: false },
    { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
    { name: "extKeyUsage", serverAuth: usage === "server", clientAuth: usage === "client" },
    { name: "subjectAltName", altNames: [{ type: 2, value: commonName }] },
    { name: "subjectKeyIdentifier" },
    { name: "authorityKeyIdentifier", keyIdentifier: keyIdentifierOf(issuer) },
  ]);
  cert.sign(forge.pki.privateKeyFromPem(authority.keyPem), forge.md.sha256.create());
  return { certPem: unixLines(forge.pki.certificateToPem(cert)), keyPem };
}

/** What the authority calls its key: one from elsewhere need not have made that name as we do (RFC 5280, 4.2.1.2). */
function keyIdentifierOf(issuer: forge.pki.Certificate): string {
  const own = issuer.getExtension("subjectKeyIdentifier") as { subjectKeyIdentifier?: string } | undefined;
  const hex = own?.subjectKeyIdentifier;
  return hex === undefined ? issuer.generateSubjectKeyIdentifier().getBytes() : forge.util.hexToBytes(hex);
}

/**
 * Why an authority from elsewhere will not do, as the end of a sentence that begins with the file's name; undefined when it
 * will. Only RSA keys sign here, since node-forge knows no others.
 */
export function authorityProblem(
  certPem: string,
  keyPem: string,
  nowMs: number,
): { of: "cert" | "key"; says: string } | undefined {
  let cert: X509Certificate;
  try {
    cert = new X509Certificate(certPem);
  } catch {
    return { of: "cert", says: "is no certificate in PEM form" };
  }
  if (!cert.ca)
    return { of: "cert", says: "is no certificate of an authority (basicConstraints say CA:FALSE, or nothing)" };
  if (Date.parse(cert.validTo) <= nowMs) return { of: "cert", says: `expired on ${cert.validTo}` };
  if (Date.parse(cert.validFrom) > nowMs) return { of: "cert", says: `is not valid before ${cert.validFrom}` };
  let key: KeyObject;
  try {
    key = createPrivateKey(keyPem);
  } catch {
    return {
      of: "key",
      says: "is no private key in PEM form, or is encrypted: decrypt it first (openssl pkey -in KEY)",
    };
  }
  if (!cert.checkPrivateKey(key)) return { of: "key", says: "is not the certificate's key" };
  if (key.asymmetricKeyType !== "rsa")
    return { of: "key", says: `is of type ${key.asymmetricKeyType ?? "unknown"}: RSA is wanted` };
  return undefined;
}

const unixLines = (pem: string): string => pem.replaceAll("\r\n", "\n");

/** Whole days until the certificate ends; negative when it has. */
export function daysLeft(certPem: string, nowMs: number): number {
  return Math.floor((Date.parse(new X509Certificate(certPem).validTo) - nowMs) / DAY_MS);
}

/** Whether a new certificate of the authority would be good for longer than this one, or this one claims to outlive it. */
export function isWorthRenewing(certPem: string, authorityPem: string, nowMs: number, renewDays: number): boolean {
  const endOf = (pem: string): number => Date.parse(new X509Certificate(pem).validTo);
  const [ends, last] = [endOf(certPem), endOf(authorityPem)];
  return ends > last || (ends < last && daysLeft(certPem, nowMs) < renewDays);
}

/** True when the authority's key signed the certificate. */
export function isIssuedBy(certPem: string, authorityPem: string): boolean {
  return new X509Certificate(certPem).verify(new X509Certificate(authorityPem).publicKey);
}
