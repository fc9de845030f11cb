/**
 * A parser of the event stream format, exactly as the HTML standard defines it:
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 *
 * It turns bytes into blocks (events). Chunks may end anywhere, also within a CRLF or a UTF-8
 * character. Start reading at `push`.
 */

/** A block with more characters than this is an error. */
export const MAX_BLOCK_CHARS = 16 * 1024 * 1024;

export interface Block {
  /** The `event` field, "message" without one. */
  readonly type: string;
  /** The `data` lines, joined by LF. */
  readonly data: string;
  /** The id in this block; null: none ("" resets the id). */
  readonly id: string | null;
  /** The id after this block, its own or an earlier one. */
  readonly lastEventId: string;
}

export interface ParserCallbacks {
  /** A block with data. */
  readonly onBlock: (block: Block) => void;
  /** A block without data that changes the id. */
  readonly onId?: (id: string) => void;
  readonly onRetry?: (milliseconds: number) => void;
  /** A comment, without the colon and one space. */
  readonly onComment?: (text: string) => void;
}

/** A block exceeds `MAX_BLOCK_CHARS`: the sender does not use this format. */
export class BlockTooLong extends Error {
  constructor() {
    super(`a block of the event stream has more than ${MAX_BLOCK_CHARS} characters`);
    this.name = "BlockTooLong";
  }
}

/** Parses one response body; each connection needs its own parser. */
export class Parser {
  /** It leaves byte order marks to `push`: the decoder of Node drops a second one, too. */
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #isAtStart = true;
  #line = "";
  #afterCr = false;

  #type = "";
  #data = "";
  #hasData = false;
  #id: string | null = null;
  #lastEventId: string;
  readonly #callbacks: ParserCallbacks;

  /** @param lastEventId  the id from the previous connection */
  constructor(callbacks: ParserCallbacks, lastEventId = "") {
    this.#callbacks = callbacks;
    this.#lastEventId = lastEventId;
  }

  /** The id of the last complete block. */
  get lastEventId(): string {
    return this.#lastEventId;
  }

  /**
   * Parse the next chunk. An incomplete block at the end of the stream is dropped, as the standard
   * requires.
   *
   * @throws {BlockTooLong}
   */
  push(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    let start = this.#isAtStart && text.startsWith("\uFEFF") ? 1 : 0;
    if (text !== "") this.#isAtStart = false;
    for (let at = start; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code !== 10 && code !== 13) {
        this.#afterCr = false;
        continue;
      }
      if (code === 10 && this.#afterCr) {
        // The LF of a CRLF. The CR has ended the line already, therefore no event waits for the LF.
        this.#afterCr = false;
        start = at + 1;
        continue;
      }
      this.#afterCr = code === 13;
      const line = this.#line + text.slice(start, at);
      this.#line = "";
      start = at + 1;
      this.#processLine(line);
    }
    this.#line += text.slice(start);
    this.#checkSize();
  }

  #processLine(line: string): void {
    if (line === "") {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(":");
    if (colon < 0) {
      this.#processField(line, "");
      return;
    }
    const from = line.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1;
    if (colon === 0) this.#callbacks.onComment?.(line.slice(from));
    else this.#processField(line.slice(0, colon), line.slice(from));
  }

  /** @param name  case matters */
  #processField(name: string, value: string): void {
    if (name === "data") {
      this.#data = this.#hasData ? `${this.#data}\n${value}` : value;
      this.#hasData = true;
      this.#checkSize();
    } else if (name === "event") {
      this.#type = value;
    } else if (name === "id") {
      if (!value.includes("\0")) this.#id = value;
    } else if (name === "retry") {
      if (/^[0-9]+$/.test(value)) this.#callbacks.onRetry?.(Number(value));
    }
  }

  #dispatch(): void {
    const block = { type: this.#type || "message", data: this.#data, id: this.#id };
    const hasData = this.#hasData;
    this.#type = "";
    this.#data = "";
    this.#hasData = false;
    this.#id = null;
    if (block.id !== null) this.#lastEventId = block.id;
    if (hasData) {
      this.#callbacks.onBlock({ ...block, lastEventId: this.#lastEventId });
    } else if (block.id !== null) {
      this.#callbacks.onId?.(block.id);
    }
  }

  /** @throws {BlockTooLong} */
  #checkSize(): void {
    if (this.#line.length + this.#data.length > MAX_BLOCK_CHARS) throw new BlockTooLong();
  }
}
