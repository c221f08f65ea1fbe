import * as pulumi from "@pulumi/pulumi";
import { Cluster, declareHooks } from "./components/index.js";
import { imageSource } from "./host/image-source.js";
import { builtRelease, programFiles } from "./host/program.js";
import { runtimeVersion } from "./host/runtime.js";
import { checkoutRoot, inventoryPath, readInventory } from "./inventory/index.js";

// Pulumi's runner looks every frame of every stack up in source maps, and its SDK keeps a stack for each of its promises: a
// quarter of this program's time, for maps that it does not have.
Reflect.deleteProperty(Error, "prepareStackTrace");

// The Pulumi program: the stack's inventory in, a cluster out.
const inventory = readInventory(inventoryPath(checkoutRoot(), pulumi.getStack()));

// `convocate-host init-agent --ca-cert --ca-key` puts them there.
const config = new pulumi.Config("convocate");
const certPem = config.get("authorityCert");
const keyPem = config.getSecret("authorityKey");

const cluster = new Cluster({
  inventory,
  ...(certPem !== undefined && keyPem !== undefined && { authority: { certPem, keyPem } }),
  imageSource: imageSource(),
  common: {
    cluster: inventory.cluster,
    service: inventory.service,
    release: builtRelease(),
    nodeVersion: runtimeVersion(),
    programs: { convocate: programFiles("convocate"), "convocate-agent": programFiles("convocate-agent") },
  },
});

await declareHooks(cluster.hosts, cluster);

/** Agent ids by the inventory's names. */
export const agents = cluster.agents;
