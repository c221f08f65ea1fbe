import type { Plan, PlannedChange } from "../../infra/rollout/index.js";

const SIGN = { create: "+", update: "~", replace: "±", delete: "-" } as const;
const WORDS = {
  create: "is not there",
  update: "differs",
  replace: "must be made anew",
  delete: "is no longer wanted",
};

/** A plan for people: by host, what differs, by name. */
export function planText(plan: Plan): string {
  const { changes, unchanged } = plan;
  if (changes.length === 0) return `nothing would change: ${unchanged} resources are as they should be\n`;
  const hosts = [...new Set(changes.map(({ resource }) => resource.host))];
  const blocks = hosts.map((host) =>
    [host, ...changes.filter(({ resource }) => resource.host === host).map(line)].join("\n"),
  );
  const count = `${changes.length} of ${changes.length + unchanged} resources would change`;
  return `${blocks.join("\n")}\n${count}\n`;
}

function line({ resource, operation, differences }: PlannedChange): string {
  const what =
    operation === "create" || operation === "delete"
      ? WORDS[operation]
      : differences.map(({ path }) => path).join(", ");
  return `  ${SIGN[operation]} ${resource.what} (${resource.kind}): ${what || WORDS[operation]}`;
}

/** A plan for programs. */
export function planJson(stack: string, plan: Plan): string {
  const changes = plan.changes.map(({ resource, operation, differences }) => ({
    host: resource.host,
    resource: resource.what,
    kind: resource.kind,
    operation,
    differences,
  }));
  return `${JSON.stringify({ stack, changes, unchanged: plan.unchanged }, null, 2)}\n`;
}
