import { InvalidArgumentError, Option } from "commander";
import { LabelKey, LabelValue, type Labels } from "../../runtime/domain/index.js";

/** `--label KEY=VALUE`, as often as one likes: what agents are chosen by. */
export function labelOption(description: string): Option {
  return new Option("--label <key=value>", `${description}; repeatable, all must fit`).argParser(withLabel);
}

function withLabel(text: string, before: Labels | undefined): Labels {
  const [, key = "", value = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  if (!text.includes("=")) throw new InvalidArgumentError("as KEY=VALUE, for instance room=cellar.");
  for (const { error } of [LabelKey.safeParse(key), LabelValue.safeParse(value)])
    if (error) throw new InvalidArgumentError(`${error.issues.map(({ message }) => message).join("; ")}.`);
  const other = before?.[key];
  if (other !== undefined && other !== value) throw new InvalidArgumentError(`no agent can have ${key}=${other}, too.`);
  return { ...before, [key]: value };
}
