import { createPool } from "../../infra/connection/index.js";
import type { HostAddress } from "../../infra/connection/types.js";
import { findImage } from "../../infra/host/image.js";
import { imagePush } from "../../infra/resources/image-push/lifecycle.js";
import { Answers } from "../../infra/resources/answers.js";
import { THIS_MACHINE } from "../../infra/resources/lifecycle.js";

/**
 * One push as a process of its own, as it goes on in `pulumi up`: nothing is known from an earlier one. Arguments: the
 * host's address as JSON, the image's tag on this machine. Prints the image's id.
 */
const [host = "", tag = ""] = process.argv.slice(2);
const address = JSON.parse(host) as HostAddress;
await using pool = createPool();
const connect = (name: string) => pool.connect(name === THIS_MACHINE ? { via: "local", name } : address);
const image = await findImage(await connect(THIS_MACHINE), tag, { root: false });
if (!image) throw new Error(`no image ${tag} on this machine`);
const inputs = imagePush.inputs.parse({ host: address.name, tag, imageId: image.imageId, layers: image.layers });
const { signal } = new AbortController();
const progress = (line: string): void => void process.stderr.write(`${line}\n`);
const { state } = await imagePush.create(inputs, { pool: { connect }, signal, answers: new Answers(), progress });
process.stdout.write(`${state.imageId}\n`);
