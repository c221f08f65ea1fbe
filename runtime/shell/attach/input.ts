/** Input kept until the agent has taken it; beyond this, the terminal is not read any further. */
const INPUT_BUFFER_BYTES = 1024 * 1024;

/**
 * What was typed and not yet taken by the session, numbered by its offset in the stream. `sent` is how far it was ever
 * written to a connection: what lies between taken and sent may or may not have arrived.
 */
export class InputBuffer {
  #kept: Buffer[] = [];
  /** Offset of the first kept byte: all before it was taken. */
  #taken = 0;
  #end = 0;
  #sent = 0;

  /** Offset of the next byte that is typed. */
  get end(): number {
    return this.#end;
  }

  get bytes(): number {
    return this.#end - this.#taken;
  }

  isFull(): boolean {
    return this.bytes >= INPUT_BUFFER_BYTES;
  }

  append(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#kept.push(chunk);
    this.#end += chunk.length;
  }

  /** The bytes not yet written to this connection; they count as sent from here on. */
  take(): Buffer[] {
    const unsent = this.#from(this.#sent);
    this.#sent = this.#end;
    return unsent;
  }

  /** The agent has taken all up to `offset`. A number that cannot be is ignored: it would lose or repeat input. */
  acknowledge(offset: number): void {
    if (offset <= this.#taken || offset > this.#sent) return;
    this.#drop(offset);
  }

  /**
   * A new connection: the agent says how many bytes of the stream it has taken, and all after them is sent again. Null: it
   * does not know the stream (any more) and counts from 0 again; then nobody can tell whether what was sent arrived, and
   * only what was never sent is sent, so that nothing is typed twice.
   */
  resume(taken: number | null): void {
    if (taken === null) {
      this.#drop(this.#sent);
      this.#end -= this.#taken;
      this.#sent = 0;
      this.#taken = 0;
      return;
    }
    this.acknowledge(taken);
    this.#sent = this.#taken;
  }

  #drop(upTo: number): void {
    this.#kept = this.#from(upTo);
    this.#taken = upTo;
  }

  #from(offset: number): Buffer[] {
    let skip = offset - this.#taken;
    const rest: Buffer[] = [];
    for (const chunk of this.#kept) {
      if (skip < chunk.length) rest.push(skip > 0 ? chunk.subarray(skip) : chunk);
      skip = Math.max(0, skip - chunk.length);
    }
    return rest;
  }
}
