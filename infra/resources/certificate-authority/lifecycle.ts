import { X509Certificate } from "node:crypto";
import { z } from "zod";
import { newAuthority, daysLeft, type IssuedCertificate } from "../../host/certificates.js";
import type { Lifecycle } from "../lifecycle.js";
import { change } from "../shared.js";

const Inputs = z.object({
  commonName: z.string().min(1).max(64),
  /** Counted up by the operator, to have another authority. A state of an earlier release has none, which is the first. */
  generation: z.int().min(1).default(1),
  /** One from elsewhere, to be taken as it is. */
  given: z.object({ certPem: z.string(), keyPem: z.string() }).optional(),
});
type Inputs = z.infer<typeof Inputs>;
type State = Omit<Inputs, "given"> & IssuedCertificate;

/** Days before its end at which a certificate is made anew (SPEC 8.4). */
export const RENEW_DAYS = 60;

/** The cluster's certificate authority, its own or one from elsewhere. Its key is in the state, encrypted, and on no host. */
export const certificateAuthority: Lifecycle<Inputs, State> = {
  kind: "CertificateAuthority",
  inputs: Inputs,
  secretOutputs: ["keyPem"],
  volatileOutputs: ["certPem", "keyPem"],
  diff: (state, inputs) => {
    if (inputs.given) return state.certPem === inputs.given.certPem ? [] : [change("given")];
    return [
      ...(state.commonName === inputs.commonName ? [] : [change("commonName")]),
      // Earlier releases kept none.
      ...(((state.generation as number | undefined) ?? 1) === inputs.generation ? [] : [change("generation")]),
      ...(daysLeft(state.certPem, Date.now()) >= RENEW_DAYS ? [] : [change("notAfter")]),
    ];
  },
  async create({ given, ...inputs }, { progress }) {
    if (given && daysLeft(given.certPem, Date.now()) < RENEW_DAYS)
      progress(
        `warning: the given authority has ${daysLeft(given.certPem, Date.now())} days left: bring another one (--ca-cert, --ca-key)`,
      );
    const issued = given ?? (await newAuthority(inputs.commonName));
    return { id: new X509Certificate(issued.certPem).serialNumber, state: { ...inputs, ...issued } };
  },
  async read(state) {
    return state;
  },
  async update(_state, inputs, context) {
    return (await certificateAuthority.create(inputs, context)).state;
  },
  async delete() {
    // It was only in the state.
  },
};
