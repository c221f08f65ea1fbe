import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import xterm from "@xterm/headless";
import fc from "fast-check";
import { setTimeout as sleep } from "node:timers/promises";
import { Echo } from "./echo.js";

const SIZE = { cols: 24, rows: 6 };

/** A program in a session: what it prints for a key. */
type Program = (key: string) => string;

/** A shell: prints what is typed, erases, answers a line with its prompt. */
const shell = (): Program => {
  let line = "";
  return (key) => {
    if (key === "\r") {
      line = "";
      return "\r\n$ ";
    }
    if (key === "\x7f") {
      if (line === "") return "\x07";
      line = line.slice(0, -1);
      return "\b \b";
    }
    if (key < " " || line.length > 60) return "";
    line += key;
    return `\x1b[1m${key}\x1b[22m`;
  };
};

/** The Claude CLI in tmux: a box that is drawn anew, the terminal's cursor hidden on a drawn one. */
const box = (): Program => {
  let text = "";
  let row = 2;
  return (key) => {
    if (key === "\r") {
      text = "";
      row = row === 2 ? 3 : 2;
    } else if (key === "\x7f") text = text.slice(0, -1);
    else if (key >= " " && text.length < 15) text += key;
    const blank = `\x1b[5;1H${" ".repeat(20)}`;
    return `\x1b[?25l${blank}\x1b[${row};1H\x1b[K> \x1b[36m${text}\x1b[7m \x1b[m \x1b[5;1H\x1b(B\x1b[2mtyped ${text.length}\x1b[m\x1b[${row};${text.length + 3}H`;
  };
};

/** Asks for a password. */
const silent = (): Program => () => "";

/** An editor, whose letters are commands: some move, one deletes a line, one draws all anew. */
const editor = (): Program => {
  let col = 4;
  return (key) => {
    if (key === "h") col -= 1;
    else if (key === "l") col += 1;
    else if (key === "d") return "\r\x1b[K";
    else if (key === "r") return "\x1b[2J\x1b[1;1Hline öne\r\n日本語\r\n";
    return `\x1b[3;${Math.max(1, Math.min(col, SIZE.cols))}H`;
  };
};
const PROGRAMS: Record<string, () => Program> = { shell, box, silent, editor };

/** A terminal, with all that can be seen of it. */
class Seen {
  readonly terminal = new xterm.Terminal({ ...SIZE, scrollback: 0, allowProposedApi: true });

  async write(data: string | Buffer): Promise<void> {
    await new Promise<void>((resolve) => this.terminal.write(data, resolve));
  }

  /** Characters, colours and attributes of each cell, and the cursor. */
  all(): Promise<string> {
    return this.#look(({ active }) => {
      const cells = Array.from({ length: SIZE.rows * SIZE.cols }, (_, at) => {
        const cell = active.getLine(active.baseY + Math.floor(at / SIZE.cols))?.getCell(at % SIZE.cols);
        const looks = [cell?.isBold(), cell?.isDim(), cell?.isInverse(), cell?.getFgColor(), cell?.getBgColor()];
        return `${cell?.getChars() || " "}${looks.join(",")}`;
      });
      return `${cells.join("|")} cursor ${active.cursorY},${active.cursorX}`;
    });
  }

  line(row: number): Promise<string> {
    return this.#look(
      ({ active }) =>
        active
          .getLine(active.baseY + row)
          ?.translateToString()
          .trimEnd() ?? "",
    );
  }

  /** Behind all that was written by now, and before whatever is written from now on: what waits is drawn again by the clock. */
  #look(at: (buffer: xterm.IBufferNamespace) => string): Promise<string> {
    return new Promise((resolve) => this.terminal.write("", () => resolve(at(this.terminal.buffer))));
  }

  get cursor(): { row: number; col: number } {
    const { cursorX: col, cursorY: row } = this.terminal.buffer.active;
    return { row, col };
  }
}

/** Somebody at a terminal, a slow line, and a program behind it. */
class Line {
  /** What the operator sees. */
  readonly seen = new Seen();
  /** What there is without any of this. */
  readonly plain = new Seen();
  readonly echo = new Echo(SIZE, (sequence) => void this.seen.write(sequence));
  program: Program;
  #typed = 0;
  #under: { key: string; end: number }[] = [];
  #printed = Buffer.alloc(0);

  constructor(program: Program) {
    this.program = program;
  }

  type(...keys: string[]): void {
    for (const key of keys) {
      this.#typed += Buffer.byteLength(key);
      this.#under.push({ key, end: this.#typed });
      this.echo.typed(Buffer.from(key), this.#typed);
    }
  }

  /** So many keys reach the program, and what it prints is on its way. */
  arrive(count = Infinity): void {
    for (const { key, end } of this.#under.splice(0, count)) {
      this.print(this.program(key));
      this.echo.taken(end);
    }
  }

  print(text: string): void {
    this.#printed = Buffer.concat([this.#printed, Buffer.from(text)]);
  }

  /** So many bytes of what was printed reach the operator. */
  async deliver(bytes = Infinity): Promise<void> {
    const data = this.#printed.subarray(0, bytes);
    this.#printed = this.#printed.subarray(data.length);
    if (data.length === 0) return;
    await this.plain.write(data);
    await this.seen.write(await this.echo.output(data));
  }

  async back(): Promise<void> {
    this.arrive();
    await this.deliver();
  }
}

let line: Line;
const start = async (program: Program, prompt = "$ "): Promise<void> => {
  line = new Line(program);
  line.print(prompt);
  await line.deliver();
};
/** Types a first key and waits until it was shown: now the program is known to show what is typed. */
const warm = async (key = "a"): Promise<void> => {
  line.type(key);
  await line.back();
};

beforeEach(() => start(shell()));
afterEach(() => line.echo[Symbol.dispose]());

describe("typed on a slow line, a character", () => {
  test("is on the screen at once, with the cursor behind it, and stays when the session shows it", async () => {
    await warm();
    line.type("b", "ü", "d");
    expect(await line.seen.line(0)).toBe("$ abüd");
    expect(line.seen.cursor).toEqual({ row: 0, col: 6 });
    expect(await line.plain.line(0)).toBe("$ a");
    line.arrive(2);
    await line.deliver();
    expect(await line.seen.line(0)).toBe("$ abüd");
    await line.back();
    expect(await line.seen.all()).toBe(await line.plain.all());
  });

  test("looks like the one before it", async () => {
    await warm();
    line.type("b");
    await line.seen.write("");
    const cell = line.seen.terminal.buffer.active.getLine(0)?.getCell(3);
    expect([cell?.getChars(), cell?.isBold() !== 0]).toEqual(["b", true]);
  });

  test("is in the Claude CLI's box at once, with the cursor that the CLI draws", async () => {
    await start(box(), box()(""));
    await warm("h");
    line.type("i", "!");
    expect(await line.seen.line(1)).toBe("> hi!");
    await line.seen.write("");
    const cells = [3, 4, 5].map((col) => line.seen.terminal.buffer.active.getLine(1)?.getCell(col)?.isInverse() !== 0);
    expect(cells).toEqual([false, false, true]);
    await line.back();
    expect(await line.seen.all()).toBe(await line.plain.all());
  });

  test("is erased at once by a backspace, and nothing that was there before is", async () => {
    await warm();
    line.type("b", "\x7f", "\x7f", "\x7f", "\x7f");
    expect(await line.seen.line(0)).toBe("$");
    expect(line.seen.cursor).toEqual({ row: 0, col: 2 });
    await line.back();
    expect(await line.seen.all()).toBe(await line.plain.all());
  });

  test("is not shown before the session was seen to show one", async () => {
    line.type("a", "b");
    expect(await line.seen.line(0)).toBe("$");
  });

  test("of a password never is, although the command before it was", async () => {
    await warm();
    line.type("s", "\r");
    line.program = silent();
    line.type("s", "e", "c", "r", "e", "t");
    for (let i = 0; i < 8; i += 1) {
      line.arrive(1);
      await line.deliver();
      expect(await line.seen.line(0)).not.toMatch(/secret|e|c/);
    }
  });

  test("that the session does not show is taken away after a second", async () => {
    await warm();
    line.program = silent();
    line.type("x");
    expect(await line.seen.line(0)).toBe("$ ax");
    line.arrive();
    await sleep(1600);
    expect(await line.seen.all()).toBe(await line.plain.all());
  });

  test("is not drawn over what stands there, nor in the last column", async () => {
    await start(shell(), "$ \x1b[1;6Hfixed\x1b[1;3H");
    await warm();
    line.type("b", "c", "d");
    expect(await line.seen.line(0)).toBe("$ ab fixed");
    await start(shell(), "$ ");
    await warm();
    line.type(...Array.from({ length: SIZE.cols }, () => "b"));
    expect((await line.seen.line(0)).length).toBeLessThan(SIZE.cols);
  });

  test("is none in what is pasted, nor in an arrow key", async () => {
    await warm();
    line.type("b".repeat(40));
    line.type("\x1b[D");
    line.type("c");
    expect(await line.seen.line(0)).toBe("$ a");
  });

  test("moves with its line when the screen scrolls", async () => {
    await start(shell(), "\r\n\r\n$ ");
    await warm();
    line.type("b");
    line.print("\x1b[6;1H\n\x1b[2;4H");
    await line.deliver();
    expect(await line.seen.line(1)).toBe("$ ab");
    await line.back();
    expect(await line.seen.all()).toBe(await line.plain.all());
  });
});

test("whatever is typed, printed and cut where it may be, the screen is the one there is without, once the drawn is taken away", async () => {
  const key = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom("a", "h", "l", "d", "r", "ü", " ") },
    { weight: 1, arbitrary: fc.constantFrom("\x7f", "\r", "\x1b[D", "日") },
  );
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ type: fc.array(key, { minLength: 1, maxLength: 4 }) }) },
    { weight: 4, arbitrary: fc.record({ arrive: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 4, arbitrary: fc.record({ deliver: fc.integer({ min: 1, max: 200 }) }) },
    { weight: 4, arbitrary: fc.constant({ all: true }) },
    { weight: 1, arbitrary: fc.record({ program: fc.constantFrom(...Object.keys(PROGRAMS)) }) },
  );
  let drawn = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(shell, box),
      fc.array(step, { minLength: 10, maxLength: 60 }),
      async (first, steps) => {
        line.echo[Symbol.dispose]();
        await start(first(), first()(""));
        await warm();
        for (const one of steps) {
          if ("type" in one) line.type(...one.type);
          else if ("all" in one) await line.back();
          else if ("arrive" in one) line.arrive(one.arrive);
          else if ("deliver" in one) await line.deliver(one.deliver);
          else line.program = PROGRAMS[one.program]?.() ?? shell();
          if ((await line.seen.all()) !== (await line.plain.all())) drawn += 1;
        }
        line.echo.hide();
        expect(await line.seen.all()).toBe(await line.plain.all());
        // What is printed next must land where it would have, and look so.
        await line.deliver();
        line.echo.hide();
        line.print("next");
        await line.deliver();
        line.echo.hide();
        expect(await line.seen.all()).toBe(await line.plain.all());
      },
    ),
    { numRuns: 150 },
  );
  expect(drawn).toBeGreaterThan(100);
}, 120_000);
