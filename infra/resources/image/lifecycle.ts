import { join } from "node:path";
import { z } from "zod";
import { ConvocateError } from "../../../runtime/domain/index.js";
import { checkoutRoot } from "../../host/checkout.js";
import { findImage } from "../../host/image.js";
import { THIS_MACHINE, type Lifecycle } from "../lifecycle.js";
import { compare } from "../shared.js";

const Inputs = z.object({
  tag: z.string().regex(/^convocate:[A-Za-z0-9_][A-Za-z0-9_.-]*$/, "must be convocate:<version>"),
  base: z.string(),
  source: z.string(),
});
type Inputs = z.infer<typeof Inputs>;

interface State extends Inputs {
  imageId: string;
  layers: string[];
}

/** The session image, built on this machine. It stays when convocate goes: builds are cheap to keep and dear to make. */
export const image: Lifecycle<Inputs, State> = {
  kind: "Image",
  inputs: Inputs,
  secretOutputs: [],
  volatileOutputs: ["imageId", "layers"],
  diff: (state, inputs) => compare<Inputs>(state, inputs, ["tag", "base", "source"]),
  async create(inputs, { pool, signal, progress }) {
    const here = await pool.connect(THIS_MACHINE, signal);
    progress(`building ${inputs.tag}`);
    const base = inputs.base === "" ? [] : ["--base", inputs.base];
    const argv = [join(checkoutRoot(), "script/image"), "build", "--tag", inputs.tag, ...base];
    await here.run(argv, { root: false, timeoutMs: 1_800_000, signal });
    const found = await findImage(here, inputs.tag, { root: false, signal });
    if (!found)
      throw new ConvocateError("IMAGE_MISSING", `${inputs.tag} was built and is not there: run script/image by hand`);
    return { id: inputs.tag, state: { ...inputs, imageId: found.imageId, layers: found.layers } };
  },
  async read(state, _inputs, { pool, signal }) {
    const found = await findImage(await pool.connect(THIS_MACHINE, signal), state.tag, { root: false, signal });
    return found && { ...state, imageId: found.imageId, layers: found.layers };
  },
  async update(_state, inputs, context) {
    return (await image.create(inputs, context)).state;
  },
  async delete() {
    // Images stay (SPEC 8.1).
  },
};
