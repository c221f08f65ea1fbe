import { InvalidArgumentError } from "commander";

/** A tcp port as an option's value. */
export function portNumber(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65535)
    throw new InvalidArgumentError("must be a number from 1 to 65535.");
  return port;
}
