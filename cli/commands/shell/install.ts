import { Command } from "commander";
import { ConvocateError } from "../../../runtime/domain/index.js";

/** `convocate install`: not from here, since what a shell host is made of comes from the checkout. It names the way. */
export function shellInstall(): Command {
  return new Command("install").description("names what sets a shell host up and updates it").action(() => {
    throw new ConvocateError(
      "REFUSED",
      "a shell host is set up from a checkout of convocate, not from here: run `convocate-host init-shell --host HOST` there, " +
        "or `convocate-host update --host HOST` for another release",
    );
  });
}
