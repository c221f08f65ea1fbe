/** One line of the diagnostic walk. */
export interface Finding {
  host: string;
  /** What was looked at, as `clock`. */
  check: string;
  level: "ok" | "warn" | "fail";
  says: string;
  /** The command that mends it, with where to run it. */
  mend?: string;
}

/** Findings of one host, with words for each level. */
export class Walk {
  readonly findings: Finding[] = [];

  constructor(private readonly host: string) {}

  ok(check: string, says: string): void {
    this.findings.push({ host: this.host, check, level: "ok", says });
  }
  warn(check: string, says: string, mend: string): void {
    this.findings.push({ host: this.host, check, level: "warn", says, mend });
  }
  fail(check: string, says: string, mend: string): void {
    this.findings.push({ host: this.host, check, level: "fail", says, mend });
  }

  /** `ok` when true, else `fail`. */
  holds(check: string, good: boolean, says: string, otherwise: string, mend: string): void {
    if (good) this.ok(check, says);
    else this.fail(check, otherwise, mend);
  }
}
