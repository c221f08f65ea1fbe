/**
 * Who may know whom (docs/architecture.md). Every rule carries its reason. `npm run rooms` and a unit test enforce it.
 */
const only = (name, room, allowed, comment) => ({
  name,
  comment,
  severity: "error",
  from: { path: `^${room}`, pathNot: "\\.test\\.tsx?$" },
  to: { path: "^(runtime|infra|cli|test)/", pathNot: [`^${room}`, ...allowed.map((a) => `^${a}`)] },
});
const noPackage = (name, room, packages, comment) => ({
  name,
  comment,
  severity: "error",
  from: { path: `^${room}`, pathNot: "\\.test\\.tsx?$" },
  to: { path: `node_modules/(${packages})/` },
});

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "no-circular",
      severity: "error",
      comment: "A circle has no bottom to start reading from.",
      from: {},
      to: { circular: true },
    },
    {
      name: "hooks-alone-need-command",
      severity: "error",
      comment: "Without hooks nothing may need the plugin of @pulumi/command, which not everybody can have.",
      from: { path: "^(infra|cli)/", pathNot: "\\.test\\.tsx?$" },
      to: { path: "node_modules/@pulumi/command/", dynamic: false, dependencyTypesNot: ["type-only"] },
    },
    only(
      "domain-knows-nobody",
      "runtime/domain/",
      [],
      "Types and rules without I/O can be tested and trusted anywhere.",
    ),
    only(
      "protocol-knows-domain",
      "runtime/protocol/",
      ["runtime/domain/"],
      "The wire is shared by both ends, so it belongs to neither.",
    ),
    only(
      "agent",
      "runtime/agent/",
      ["runtime/protocol/", "runtime/domain/"],
      "The agent ships alone to hosts that have no shell.",
    ),
    only("shell", "runtime/shell/", ["runtime/protocol/", "runtime/domain/"], "Shell and agent meet on the wire only."),
    only(
      "inventory",
      "infra/inventory/",
      ["runtime/domain/", "infra/connection/types\\."],
      "An inventory can be read and judged with no host in reach; of connections it knows only what an address is.",
    ),
    only(
      "connection",
      "infra/connection/",
      ["runtime/domain/"],
      "Runs an argv and moves bytes; what for is not its business.",
    ),
    only(
      "host",
      "infra/host/",
      ["infra/connection/", "runtime/domain/"],
      "What can be done to any host, whatever we install there.",
    ),
    only(
      "resources",
      "infra/resources/",
      ["infra/host/", "infra/connection/", "runtime/domain/"],
      "A kind of resource is made of host operations.",
    ),
    only(
      "components",
      "infra/components/",
      ["infra/resources/", "infra/host/", "infra/connection/", "infra/inventory/", "runtime/domain/"],
      "Components group resources; they do not touch hosts.",
    ),
    only(
      "provider",
      "infra/provider/",
      ["infra/resources/", "infra/connection/", "infra/inventory/", "runtime/domain/"],
      "The adapter knows lifecycles, not what they are for; of the inventory it knows where hosts are.",
    ),
    only(
      "rollout",
      "infra/rollout/",
      ["infra/inventory/", "infra/connection/", "runtime/protocol/", "runtime/domain/"],
      "Runs the same program as `pulumi up`; it only tries whether a host can be reached before it begins.",
    ),
    only(
      "doctor",
      "infra/doctor/",
      ["infra/components/texts/", "infra/inventory/", "infra/host/", "infra/connection/", "runtime/domain/"],
      "Looks at hosts by the same connection, and knows where components put things; it changes nothing.",
    ),
    {
      name: "nobody-imports-cli",
      severity: "error",
      comment: "The doors decide nothing, so nobody needs them.",
      from: { path: "^(infra|runtime)/" },
      to: { path: "^cli/" },
    },
    {
      name: "shipped-code-has-no-tests",
      severity: "error",
      comment: "Test equipment never ships.",
      from: { path: "^(cli|infra|runtime)/", pathNot: "\\.test\\.tsx?$" },
      to: { path: "^test/" },
    },
    noPackage("runtime-has-no-pulumi", "runtime/", "@pulumi", "What lives on hosts knows nothing of Pulumi."),
    noPackage("agent-has-no-ink", "runtime/(agent|protocol|domain)/", "ink|react", "Ink is only in `convocate`."),
    noPackage("domain-has-no-packages-but-zod", "runtime/domain/", "(?!zod)[^/]+", "Types and rules stay light."),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
    },
  },
};
