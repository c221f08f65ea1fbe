import { X509Certificate } from "node:crypto";
import { z } from "zod";
import { isIssuedBy, isWorthRenewing, newCertificate, type IssuedCertificate } from "../../host/certificates.js";
import { RENEW_DAYS } from "../certificate-authority/lifecycle.js";
import type { Lifecycle } from "../lifecycle.js";
import { change, compare } from "../shared.js";

const Inputs = z.object({
  authority: z.object({ certPem: z.string(), keyPem: z.string() }),
  commonName: z.string().regex(/^[a-z0-9.-]{1,64}$/, "must be a DNS name of at most 64 characters"),
  usage: z.enum(["server", "client"]),
});
type Inputs = z.infer<typeof Inputs>;
type State = Pick<Inputs, "commonName" | "usage"> & IssuedCertificate;

/** A certificate of our authority for one name. */
export const certificate: Lifecycle<Inputs, State> = {
  kind: "Certificate",
  inputs: Inputs,
  secretOutputs: ["keyPem"],
  volatileOutputs: ["certPem", "keyPem"],
  diff: (state, inputs) => [
    ...compare<Pick<Inputs, "commonName" | "usage">>(state, inputs, ["commonName", "usage"]),
    ...(isIssuedBy(state.certPem, inputs.authority.certPem) ? [] : [change("authority")]),
    ...(isWorthRenewing(state.certPem, inputs.authority.certPem, Date.now(), RENEW_DAYS) ? [change("notAfter")] : []),
  ],
  async create(inputs) {
    const { authority, commonName, usage } = inputs;
    const issued = await newCertificate(authority, commonName, usage);
    return { id: new X509Certificate(issued.certPem).serialNumber, state: { commonName, usage, ...issued } };
  },
  async read(state) {
    return state;
  },
  async update(_state, inputs, context) {
    return (await certificate.create(inputs, context)).state;
  },
  async delete() {
    // The files that carried it are other resources'.
  },
};
