import type { LogLine, SessionId } from "../../runtime/domain/index.js";
import type { SessionJournal } from "../../runtime/agent/journal/journal.js";

/** A journal in memory; a line's time is its number. */
export class FakeJournal implements SessionJournal {
  readonly lines = new Map<SessionId, LogLine[]>();
  #count = 0;

  tell(id: SessionId, line: string): void {
    this.#count += 1;
    const timestamp = `2026-11-21T00:00:00.${String(this.#count).padStart(6, "0")}Z`;
    this.lines.set(id, [...(this.lines.get(id) ?? []), { timestamp, text: line }]);
  }

  async read(id: SessionId, { lines, after }: { lines: number; after: string | null }): Promise<LogLine[]> {
    const said = this.lines.get(id) ?? [];
    return said.filter(({ timestamp }) => after === null || timestamp > after).slice(-lines);
  }
}
