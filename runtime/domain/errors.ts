/**
 * The one list of error codes. The wire, the exit codes and the TUI all use it; nothing is ever told apart by its text.
 * The number beside a code is the exit code a program ends with (SPEC 3): 1 failed, 2 bad usage, 3 unreachable,
 * 4 refused, 130 interrupted.
 */
export const ERROR_CODES = {
  // what the caller sent
  BAD_USAGE: 2,
  BAD_REQUEST: 2,
  BAD_PARAMS: 2,
  UNKNOWN_OP: 1,
  LINE_TOO_LONG: 2,
  BAD_INVENTORY: 2,
  // what is (not) there
  SESSION_NOT_FOUND: 1,
  SESSION_RUNNING: 1,
  SESSION_NOT_RUNNING: 1,
  SESSION_LOCKED: 4,
  SESSION_MOVED: 4,
  SESSION_EXISTS: 1,
  ORPHAN_NEEDS_MIGRATION: 4,
  AMBIGUOUS_NAME: 2,
  AGENT_NOT_FOUND: 1,
  NO_AGENTS: 1,
  PORT_TAKEN: 1,
  DNS_NAME_TAKEN: 1,
  IMAGE_NOT_SET: 1,
  IMAGE_MISSING: 1,
  // reaching somebody
  UNREACHABLE: 3,
  CONNECTION_REFUSED: 3,
  CONNECTION_LOST: 3,
  TIMEOUT: 3,
  HOST_KEY_MISMATCH: 3,
  AUTH_REJECTED: 3,
  SUDO_NEEDS_PASSWORD: 3,
  // refusals
  WRONG_UID: 4,
  ADMISSION_DENIED: 4,
  REFUSED: 4,
  // what went wrong on the way
  DOCKER_ERROR: 1,
  COMMAND_FAILED: 1,
  IO_ERROR: 1,
  DISK_FULL: 4,
  BAD_ARCHIVE: 1,
  UNSUPPORTED_HOST: 1,
  ROLLOUT_FAILED: 1,
  INTERNAL: 1,
  INTERRUPTED: 130,
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** An error a person or a program can act on: what, where and what to do next in one line, and a code from the one list. */
export class ConvocateError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "ConvocateError";
    this.code = code;
  }

  get exitCode(): number {
    return ERROR_CODES[this.code];
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(ERROR_CODES, value);
}

/**
 * What was thrown as a ConvocateError: itself, IO_ERROR for what a disk refused, or else wrapped as INTERNAL (our fault, not the
 * user's), with its cause kept.
 */
export function toConvocateError(thrown: unknown, fallback: ErrorCode = "INTERNAL"): ConvocateError {
  if (thrown instanceof ConvocateError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const advice = diskAdvice(thrown);
  return advice === null
    ? new ConvocateError(fallback, message, { cause: thrown })
    : new ConvocateError("IO_ERROR", `${message}: ${advice}`, { cause: thrown });
}

/** What to do about a disk that is full or only read (errno(3)); null where something else was thrown. */
export function diskAdvice(thrown: unknown): string | null {
  switch (thrown instanceof Error && "code" in thrown ? thrown.code : null) {
    case "ENOSPC":
    case "EDQUOT":
      return "free some space there, then try again";
    case "EROFS":
      return CHECK_DISK;
    default:
      return null;
  }
}

/** About a disk that refuses for any other reason. */
export const CHECK_DISK = "see to that file system (`dmesg`, `findmnt`), then try again";
