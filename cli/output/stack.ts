export const DEFAULT_STACK = "dev";

let stack = DEFAULT_STACK;

/** From now on the commands that we print are about this stack. */
export function speakOf(name: string): void {
  stack = name;
}

const COMMAND =
  /\bconvocate-host (?:init-shell|init-agent|install|update|plan|remove|drain|migrate-session|doctor)\b(?: --(?:host|to|agent) [^\s`,:;)]+| --[a-z][a-z-]*)*/g;

/**
 * A text whose `convocate-host` commands name the stack that is spoken of, unless it is the default: typed as printed, they
 * must act on the same cluster. Here for all of them, since those who write them know hosts and no stacks.
 */
export function namingStack(text: string): string {
  if (stack === DEFAULT_STACK) return text;
  return text.replace(COMMAND, (command) => (command.includes(" --stack") ? command : `${command} --stack ${stack}`));
}
