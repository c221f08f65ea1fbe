import { wrapperPath } from "../../host/program.js";

/** The service user's login shell on a shell host (SPEC 3): `ssh claude@shell` is the TUI. */
export const LOGIN_SHELL = "/usr/local/bin/convocate-shell";

/** What a killed TUI may leave on: the alternate screen, mouse and paste reports, keyboard modes, a hidden cursor. */
const RESET = String.raw`\033[?1049l\033[?1000l\033[?1002l\033[?1003l\033[?1006l\033[?2004l\033[?1l\033>\033[0m\033[?25h`;

/**
 * A command (`ssh claude@shell convocate ls --json`, scp, rsync) comes as `-c COMMAND` and goes to bash. Without one it is the
 * TUI; one that was killed cannot put the terminal back, so this does. While something is written at least every 15 s, sshd (9.2)
 * does not ask whether its client is there, and a lost link would leave the TUI, and a session's attach in it, until TCP gives
 * up after some 15 min. So the kernel is asked how often it has sent the same again in vain (proc_net_tcp: `retrnsmt`, and
 * the probes in `timeout`); eight times in a row take about a minute. Pure.
 */
export const loginShell = `#!/bin/sh
# Written by convocate: ssh to this user is the TUI; ssh with a command runs it. A shell: sudo -u USER bash
if [ "$1" = -c ]; then exec /bin/bash "$@"; fi
lost() {
  set -- $SSH_CONNECTION
  [ $# = 4 ] || return 1
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    awk -v there="$(printf ':%04X' "$2")" -v here="$(printf ':%04X' "$4")" '
      $4 == "01" && index($2, here) && index($3, there) && ($7 >= "00000008" || $9 >= 8) { found = 1 }
      END { exit !found }'
}
(while sleep 10; do if lost; then kill -HUP 0; fi; done) </dev/null >/dev/null 2>&1 &
${wrapperPath("convocate")}
status=$?
kill "$!" 2>/dev/null
if [ "$status" -gt 128 ] && [ -t 1 ]; then
  stty sane
  printf '${RESET}'
fi
exit "$status"
`;

/** sshd finds out within a minute that the client of a quiet session is gone, and hangs up. Pure. */
export const sshdConfig = (user: string): string => `# Written by convocate.
Match User ${user}
  ClientAliveInterval 15
  ClientAliveCountMax 3
`;
