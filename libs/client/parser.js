/**
 * The event stream format, exactly as the HTML standard has it:
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 *
 * Bytes in, blocks out. `push` takes chunks cut anywhere, within a CRLF or a UTF-8 character too.
 * Nothing here knows about connections; start reading at `push`.
 */

/** Characters that one block may hold before the stream counts as broken. */
export const MAX_BLOCK_CHARS = 16 * 1024 * 1024;

/**
 * @typedef {object} Block
 * @property {string} type        the `event` field, "message" without one
 * @property {string} data        the `data` lines, joined by LF
 * @property {string | null} id   the id that this very block carried; null: none ("" resets the id)
 * @property {string} lastEventId the id that holds after this block, its own or an earlier one
 */

/**
 * @typedef {object} Receiver
 * @property {(block: Block) => void} onBlock       a block with data
 * @property {((id: string) => void)=} onId         a block without data that moved the id
 * @property {((milliseconds: number) => void)=} onRetry
 * @property {((text: string) => void)=} onComment  a comment, without its colon and a space after it
 */

/** A block grew past `MAX_BLOCK_CHARS`: the sender does not speak this format. */
export class BlockTooLong extends Error {
  constructor() {
    super(`a block of the event stream has more than ${MAX_BLOCK_CHARS} characters`);
    this.name = "BlockTooLong";
  }
}

/** Parses one response body; a new connection needs a new parser. */
export class Parser {
  /** A byte order mark at the very beginning is dropped by the decoder. */
  #decoder = new TextDecoder("utf-8");
  #line = "";
  #afterCr = false;

  #type = "";
  #data = "";
  #hasData = false;
  /** @type {string | null} */
  #id = null;
  #lastEventId;
  /** @type {Receiver} */
  #receiver;

  /**
   * @param {Receiver} receiver
   * @param {string} [lastEventId] the id from the connection before this one
   */
  constructor(receiver, lastEventId = "") {
    this.#receiver = receiver;
    this.#lastEventId = lastEventId;
  }

  /** The id of the last block that was complete; an id in an unfinished block does not count. */
  get lastEventId() {
    return this.#lastEventId;
  }

  /**
   * Read on. What a stream leaves unfinished at its end is dropped, as the standard says.
   *
   * @param {Uint8Array} bytes
   * @throws {BlockTooLong}
   */
  push(bytes) {
    const text = this.#decoder.decode(bytes, { stream: true });
    let start = 0;
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code !== 10 && code !== 13) {
        this.#afterCr = false;
        continue;
      }
      if (code === 10 && this.#afterCr) {
        // The LF of a CRLF: its CR already ended the line, so that no event waits for the LF.
        this.#afterCr = false;
        start = at + 1;
        continue;
      }
      this.#afterCr = code === 13;
      const line = this.#line + text.slice(start, at);
      this.#line = "";
      start = at + 1;
      this.#take(line);
    }
    this.#line += text.slice(start);
    this.#bound();
  }

  /** @param {string} line */
  #take(line) {
    if (line === "") {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(":");
    if (colon < 0) {
      this.#field(line, "");
      return;
    }
    const from = line.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1;
    if (colon === 0) this.#receiver.onComment?.(line.slice(from));
    else this.#field(line.slice(0, colon), line.slice(from));
  }

  /**
   * @param {string} name  case matters
   * @param {string} value
   */
  #field(name, value) {
    if (name === "data") {
      this.#data = this.#hasData ? `${this.#data}\n${value}` : value;
      this.#hasData = true;
      this.#bound();
    } else if (name === "event") {
      this.#type = value;
    } else if (name === "id") {
      if (!value.includes("\0")) this.#id = value;
    } else if (name === "retry") {
      if (/^[0-9]+$/.test(value)) this.#receiver.onRetry?.(Number(value));
    }
  }

  #dispatch() {
    const block = { type: this.#type || "message", data: this.#data, id: this.#id };
    const hasData = this.#hasData;
    this.#type = "";
    this.#data = "";
    this.#hasData = false;
    this.#id = null;
    if (block.id !== null) this.#lastEventId = block.id;
    if (hasData) {
      this.#receiver.onBlock({ ...block, lastEventId: this.#lastEventId });
    } else if (block.id !== null) {
      this.#receiver.onId?.(block.id);
    }
  }

  #bound() {
    if (this.#line.length + this.#data.length > MAX_BLOCK_CHARS) throw new BlockTooLong();
  }
}
