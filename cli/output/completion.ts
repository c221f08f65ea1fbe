import type { Command, Option } from "commander";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** What a verb's first argument is, so that its names can be completed. */
type Subject = "sessions" | "agents" | null;

interface Verb {
  name: string;
  description: string;
  subject: Subject;
  /** Of each argument, the words it may be. */
  words: string[];
  options: { flags: string[]; description: string; takes: Subject | "value" | "nothing"; choices: string[] }[];
}

/** A completion script of a program's whole command tree: verbs, options, their choices, names of sessions and agents. */
export function completionScript(program: Command, shell: Shell): string {
  // What --help does not tell is another program's to call.
  const verbs = program
    .createHelp()
    .visibleCommands(program)
    .filter((command) => command.name() !== "help")
    .map(verbOf)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return { bash, zsh, fish }[shell](program.name(), verbs);
}

function verbOf(command: Command): Verb {
  const [first] = command.registeredArguments;
  return {
    name: command.name(),
    description: command.description(),
    subject: subjectOf(first?.name()),
    words: (first?.argChoices ?? []).filter((word) => word !== "sessions" && word !== "agents"),
    options: [
      ...command.options.map(optionOf),
      { flags: ["--help"], description: "show help", takes: "nothing", choices: [] },
    ],
  };
}

function optionOf(option: Option): Verb["options"][number] {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined);
  // An agent is taken by either of its names, and nothing else is.
  const value = option.flags.includes("<name|id>") ? "agents" : "value";
  const takes = option.required || option.optional ? value : "nothing";
  return { flags, description: option.description, takes, choices: option.argChoices ?? [] };
}

function subjectOf(argument: string | undefined): Subject {
  if (argument === "session") return "sessions";
  return argument === "agent" ? "agents" : null;
}

/** As one word of bash and zsh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** As one word of fish, which knows escapes in single quotes. */
function fishQuoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}

function bash(program: string, verbs: readonly Verb[]): string {
  const cases = verbs.map((verb) => {
    const valued = verb.options.filter(({ takes }) => takes !== "nothing");
    const flags = verb.options.flatMap((option) => option.flags).join(" ");
    const values = valued.map(({ flags, takes, choices }) => {
      const reply =
        choices.length > 0
          ? `_${program}_words "${choices.join(" ")}"`
          : takes === "agents"
            ? `_${program}_names agents`
            : "return";
      return `        ${flags.join("|")}) ${reply}; return ;;`;
    });
    // Options only where one is begun, when something else may stand there.
    const first = verb.subject ? `_${program}_names ${verb.subject}` : `_${program}_words "${verb.words.join(" ")}"`;
    const options = `_${program}_words "${flags}"`;
    const reply =
      verb.subject || verb.words.length > 0 ? `if [[ "$cur" == -* ]]; then ${options}; else ${first}; fi` : options;
    return `    ${verb.name})
      case "$prev" in
${values.length > 0 ? `${values.join("\n")}\n` : ""}        *) ;;
      esac
      ${reply} ;;`;
  });
  return `# bash completion of ${program}: source <(${program} completion bash)
_${program}_words() { COMPREPLY+=($(compgen -W "$1" -- "$cur")); }
_${program}_names() { _${program}_words "$(${program} completion "$1" 2>/dev/null)"; }
_${program}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _${program}_words "${verbs.map(({ name }) => name).join(" ")} --help"
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
}
complete -F _${program} ${program}`;
}

/** The space before a function of ours keeps `_arguments` from putting options of its own before our arguments. */
function zsh(program: string, verbs: readonly Verb[]): string {
  const list = verbs.map(({ name, description }) => `    ${quoted(`${name}:${description}`)}`).join("\n");
  const value = (option: Verb["options"][number]): string => {
    if (option.choices.length > 0) return `:value:(${option.choices.join(" ")})`;
    if (option.takes === "agents") return `:agent: _${program}_names agents`;
    return option.takes === "value" ? ":value: " : "";
  };
  const cases = verbs.map((verb) => {
    const specs = verb.options.flatMap((option) =>
      option.flags.map((flag) => quoted(`${flag}[${option.description.replace(/[\\[\]]/g, "\\$&")}]${value(option)}`)),
    );
    const first = verb.subject
      ? [`'1:${verb.subject}: _${program}_names ${verb.subject}'`]
      : verb.words.length > 0
        ? [`'1:word:(${verb.words.join(" ")})'`]
        : [];
    // Without a word for the others, _arguments offers nothing more after the first it does not know.
    return `    ${verb.name}) _arguments ${[...specs, ...first, "'*: : '"].join(" ")} ;;`;
  });
  return `#compdef ${program}
# zsh completion of ${program}: source <(${program} completion zsh)
_${program}_names() { local -a names; names=(\${(f)"$(${program} completion "$1" 2>/dev/null)"}); compadd -a names }
_${program}() {
  local -a verbs
  verbs=(
${list}
  )
  if ((CURRENT == 2)); then _describe verb verbs; return; fi
  local verb="\${words[2]}"
  shift words
  ((CURRENT--))
  case "$verb" in
${cases.join("\n")}
  esac
}
compdef _${program} ${program}`;
}

function fish(program: string, verbs: readonly Verb[]): string {
  const lines = verbs.flatMap((verb) => {
    const when = `-n '__fish_seen_subcommand_from ${verb.name}'`;
    const of = (what: string): string => `-a '(${program} completion ${what} 2>/dev/null)'`;
    const options = verb.options.map(({ flags, description, takes, choices }) => {
      const names = flags
        .map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`))
        .join(" ");
      const from = choices.length > 0 ? ` -a '${choices.join(" ")}'` : takes === "agents" ? ` ${of("agents")}` : "";
      return `complete -c ${program} -f ${when} ${names}${takes === "nothing" ? "" : ` -x${from}`} -d ${fishQuoted(description)}`;
    });
    return [
      `complete -c ${program} -f -n __fish_use_subcommand -a ${verb.name} -d ${fishQuoted(verb.description)}`,
      ...(verb.subject ? [`complete -c ${program} -f ${when} ${of(verb.subject)}`] : []),
      ...(verb.words.length > 0 ? [`complete -c ${program} -f ${when} -a '${verb.words.join(" ")}'`] : []),
      ...options,
    ];
  });
  return [`# fish completion of ${program}: ${program} completion fish | source`, ...lines].join("\n");
}
