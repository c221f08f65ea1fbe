import { Command } from "commander";
import { ConvocateError, SHELL_PORT } from "../../../runtime/domain/index.js";
import { portNumber } from "../port.js";

/** `convocate status-serve`: what the unit convocate-status.service runs. The service is loaded only by this verb. */
export function statusServe(): Command {
  return new Command("status-serve")
    .description("take the agents' events on tcp/223 and serve what is known on the status socket (root only)")
    .option("--port <port>", "tcp port to listen on", portNumber, SHELL_PORT)
    .action(async ({ port }: { port: number }) => {
      if (process.getuid?.() !== 0)
        throw new ConvocateError(
          "WRONG_UID",
          "`convocate status-serve` runs as root: use `sudo convocate status-serve`",
        );
      const { runStatusService } = await import("./status-service.js");
      await runStatusService(port);
    });
}
