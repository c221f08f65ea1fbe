import type { Plan, PlannedChange, Unreachable } from "../../infra/rollout/index.js";

const SIGN = { create: "+", update: "~", replace: "±", delete: "-" } as const;
const WORDS = {
  create: "is not there",
  update: "differs",
  replace: "must be made anew",
  delete: "is no longer wanted",
};

/** In words for whoever has not read about certificates. */
const ENDING: Record<string, string> = { notAfter: "ends in fewer than 60 days" };

/** A plan for people: by host, what differs, by name; and whom nobody could ask. */
export function planText(plan: Plan, unreachable: readonly Unreachable[] = []): string {
  const { changes, unchanged } = plan;
  const unasked =
    unreachable.length === 0
      ? ""
      : `not looked at: ${unreachable.map(({ name }) => name).join(", ")}, which cannot be reached\n`;
  if (changes.length === 0) return `nothing would change: ${unchanged} resources are as they should be\n${unasked}`;
  const hosts = [...new Set(changes.map(({ resource }) => resource.host))];
  const blocks = hosts.map((host) =>
    [host, ...changes.filter(({ resource }) => resource.host === host).map(line)].join("\n"),
  );
  const count = `${changes.length} of ${changes.length + unchanged} resources would change`;
  return `${blocks.join("\n")}\n${count}\n${unasked}`;
}

function line({ resource, operation, differences }: PlannedChange): string {
  const what =
    operation === "create" || operation === "delete"
      ? WORDS[operation]
      : differences.map(({ path }) => ENDING[path] ?? path).join(", ");
  return `  ${SIGN[operation]} ${resource.what} (${resource.kind}): ${what || WORDS[operation]}`;
}

/** A plan for programs. */
export function planJson(stack: string, plan: Plan, unreachable: readonly Unreachable[] = []): string {
  const changes = plan.changes.map(({ resource, operation, differences }) => ({
    host: resource.host,
    resource: resource.what,
    kind: resource.kind,
    operation,
    differences,
  }));
  const silent = unreachable.map(({ name, error }) => ({ host: name, code: error.code, error: error.message }));
  return `${JSON.stringify({ stack, changes, unchanged: plan.unchanged, unreachable: silent }, null, 2)}\n`;
}
