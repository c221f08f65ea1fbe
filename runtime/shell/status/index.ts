export { serveStatus, type StatusOptions, type StatusService } from "./serve.js";
