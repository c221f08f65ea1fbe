/** Names of sessions in the cluster's DNS; loaded by convocate-status, which is the one writer (SPEC 10). */
export { NameAuthority, type AuthorityOptions } from "./authority.js";
export { reloadDnsmasq } from "./dnsmasq.js";
export { SessionFollower } from "./follow.js";
