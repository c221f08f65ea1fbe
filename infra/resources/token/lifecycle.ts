import { randomBytes } from "node:crypto";
import { z } from "zod";
import type { Lifecycle } from "../lifecycle.js";

const Inputs = z.object({});
interface State {
  token: string;
}

/** A random secret of 256 bits. It lies on no host by itself. */
export const token: Lifecycle<object, State> = {
  kind: "Token",
  inputs: Inputs,
  secretOutputs: ["token"],
  diff: () => [],
  async create() {
    return { id: randomBytes(8).toString("hex"), state: { token: randomBytes(32).toString("hex") } };
  },
  async read(state) {
    return state;
  },
  async update(state) {
    return state;
  },
  async delete() {
    // It was only in the state.
  },
};
