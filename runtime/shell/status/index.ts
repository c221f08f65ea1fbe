/** convocate-status alone keeps them: the rest of the shell does without SSH until it connects. */
export { keepConnections } from "../agents/keep.js";
export { serveStatus, type StatusOptions, type StatusService } from "./serve.js";
