import type { DeliveryAnswer } from './delivery.ts';

/**
 * The next question of a client. `length`: its bytes. `map` is undefined if the protocol names none, `key` if it is no
 * text. `broken`: the client does not speak the protocol, so that nothing can be said of the bytes behind it.
 */
type TableQuestion =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'broken'; readonly why: string }
  | {
      readonly kind: 'question';
      readonly length: number;
      readonly map: string | undefined;
      readonly key: string | undefined;
    };

/** One of Postfix's protocols for maps. */
export interface TableProtocol {
  /** Reads the first question; it looks at no more bytes than a question may have. */
  read(received: Buffer): TableQuestion;
  reply(answer: DeliveryAnswer): Buffer;
  /** Says "could not ask": Postfix keeps the mail. */
  later(why: string): Buffer;
  /** Says that the question is wrong: Postfix keeps the mail, and logs it. */
  wrong(why: string): Buffer;
}

/** The most that a question may have. Longer ones are of nobody who speaks the protocol. */
const maxQuestionBytes = 8192;

const movedText = 'the user is being moved, or the backend is in maintenance';
const refusedText = 'the user may not sign in, and no source of the directory names the home';

/** Reads UTF-8; undefined if it is none, since then it cannot be a name. */
function utf8Of(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Postfix's and Sendmail's socketmap protocol (socketmap_table(5)): netstrings of `map key`, answered by `OK value`,
 * `NOTFOUND`, `TEMP why` or `PERM why`.
 */
export const socketmap: TableProtocol = {
  read(received) {
    const colon = received.subarray(0, 6).indexOf(58);
    const digits = received.toString('latin1', 0, colon === -1 ? 6 : colon);
    if (!/^(?:0|[1-9]\d*)?$/.test(digits) || colon === 0) return broken('it is not a netstring');
    if (colon === -1 && received.length < 6) return { kind: 'incomplete' };
    const size = Number(digits);
    if (colon === -1 || size > maxQuestionBytes) return broken(`it is longer than ${maxQuestionBytes} bytes`);
    const end = colon + 1 + size;
    if (received.length <= end) return { kind: 'incomplete' };
    if (received[end] !== 44) return broken('it is not a netstring');
    const body = received.subarray(colon + 1, end);
    const space = body.indexOf(32);
    const [map, key] = space === -1 ? [body, undefined] : [body.subarray(0, space), body.subarray(space + 1)];
    return { kind: 'question', length: end + 1, map: utf8Of(map) ?? '', key: key && utf8Of(key) };
  },
  reply(answer) {
    switch (answer.kind) {
      case 'found':
        return netstring(`OK ${answer.value}`);
      case 'unknown-user':
      case 'foreign':
        return netstring('NOTFOUND ');
      case 'closed':
        return netstring(`TEMP ${movedText}`);
      case 'refused':
        return netstring(`TEMP ${refusedText}`);
      default:
        return answer satisfies never;
    }
  },
  later: (why) => netstring(`TEMP ${why}`),
  wrong: (why) => netstring(`PERM ${why}`),
};

/** Postfix's tcp_table(5): lines of `get key`, answered by `200 value`, `500 why` (not there) or `400 why` (later). */
export const tcpTable: TableProtocol = {
  read(received) {
    const end = received.subarray(0, maxQuestionBytes).indexOf(10);
    if (end === -1 && received.length < maxQuestionBytes) return { kind: 'incomplete' };
    if (end === -1) return broken(`it is longer than ${maxQuestionBytes} bytes`);
    const line = received.toString('latin1', 0, end).replace(/\r$/, '');
    const key = /^get ([!-~]+)$/.exec(line)?.[1];
    if (key === undefined) return broken('it is not "get KEY": this table can be read only');
    return { kind: 'question', length: end + 1, map: undefined, key: utf8Of(bytesOfKey(key)) };
  },
  reply(answer) {
    switch (answer.kind) {
      case 'found':
        return tableLine(200, answer.value);
      case 'unknown-user':
      case 'foreign':
        return tableLine(500, 'not found');
      case 'closed':
        return tableLine(400, movedText);
      case 'refused':
        return tableLine(400, refusedText);
      default:
        return answer satisfies never;
    }
  },
  later: (why) => tableLine(400, why),
  wrong: (why) => tableLine(400, why),
};

function broken(why: string): TableQuestion {
  return { kind: 'broken', why };
}

function netstring(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text)}:${text},`);
}

/** A line of an answer. In it, %XX stands for each byte that is not printable, for blanks and for the per cent sign. */
function tableLine(status: number, text: string): Buffer {
  const escaped = Array.from(Buffer.from(text), (byte) =>
    byte > 32 && byte < 127 && byte !== 37 ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`,
  ).join('');
  return Buffer.from(`${status} ${escaped}\n`);
}

function bytesOfKey(text: string): Buffer {
  const bytes = text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1');
}
