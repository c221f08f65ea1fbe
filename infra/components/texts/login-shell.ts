import { wrapperPath } from "../../host/program.js";

/** The service user's login shell on a shell host (SPEC 3): `ssh claude@shell` is the TUI. */
export const LOGIN_SHELL = "/usr/local/bin/convocate-shell";

/** What a killed TUI may leave on: the alternate screen, mouse and paste reports, keyboard modes, a hidden cursor. */
const RESET = String.raw`\033[?1049l\033[?1000l\033[?1002l\033[?1003l\033[?1006l\033[?2004l\033[?1l\033>\033[0m\033[?25h`;

/**
 * A command (`ssh claude@shell convocate ls --json`, scp, rsync) comes as `-c COMMAND` and goes to bash. Without one it is the
 * TUI; one that was killed cannot put the terminal back, so this does. Pure.
 */
export const loginShell = `#!/bin/sh
# Written by convocate: ssh to this user is the TUI; ssh with a command runs it. A shell: sudo -u USER bash
if [ "$1" = -c ]; then exec /bin/bash "$@"; fi
${wrapperPath("convocate")}
status=$?
if [ "$status" -gt 128 ] && [ -t 1 ]; then
  stty sane
  printf '${RESET}'
fi
exit "$status"
`;

/** sshd finds out within a minute that a client is gone, and hangs up: a lost link leaves no TUI behind. Pure. */
export const sshdConfig = (user: string): string => `# Written by convocate.
Match User ${user}
  ClientAliveInterval 15
  ClientAliveCountMax 3
`;
