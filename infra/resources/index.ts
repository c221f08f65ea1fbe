import { agentId } from "./agent-id/lifecycle.js";
import { agentReady } from "./agent-ready/lifecycle.js";
import { certificateAuthority } from "./certificate-authority/lifecycle.js";
import { certificate } from "./certificate/lifecycle.js";
import { dockerDaemon } from "./docker-daemon/lifecycle.js";
import { files } from "./files/lifecycle.js";
import { firewall } from "./firewall/lifecycle.js";
import { imagePush } from "./image-push/lifecycle.js";
import { image } from "./image/lifecycle.js";
import { keyPair } from "./key-pair/lifecycle.js";
import type { Lifecycle } from "./lifecycle.js";
import { line } from "./line/lifecycle.js";
import { packages } from "./packages/lifecycle.js";
import { program } from "./program/lifecycle.js";
import { runtime } from "./runtime/lifecycle.js";
import { serviceUser } from "./service-user/lifecycle.js";
import { sessionFirewall } from "./session-firewall/lifecycle.js";
import { slice } from "./slice/lifecycle.js";
import { timeZone } from "./time-zone/lifecycle.js";
import { token } from "./token/lifecycle.js";
import { unit } from "./unit/lifecycle.js";

/**
 * Every kind of resource, for the provider. A program takes `<kind>/resource.js` instead: that side knows Pulumi, this
 * side hosts. The provider hands each lifecycle only what it made itself, so their own types are safe to forget here.
 */
export const lifecycles = [
  agentId,
  agentReady,
  certificate,
  certificateAuthority,
  dockerDaemon,
  files,
  firewall,
  image,
  imagePush,
  keyPair,
  line,
  packages,
  program,
  runtime,
  serviceUser,
  sessionFirewall,
  slice,
  timeZone,
  token,
  unit,
] as unknown as readonly Lifecycle[];
