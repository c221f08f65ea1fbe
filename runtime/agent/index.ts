export { adoptSessions, type Adoption } from "./adoption/install.js";
export { listLocal } from "./list.js";
export { serveAgent, type Agent, type AgentOptions } from "./serve.js";
