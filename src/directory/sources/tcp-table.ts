import { LineClient } from '../line-client.ts';
import { defineSource, fillTemplate, nameTemplate, serverAddress, sourceSettings } from '../settings.ts';
import { badAnswer, couldNotAsk, unknownUser } from '../source.ts';
import { answers, meanings, readValue } from '../table-entries.ts';

/**
 * Postfix's tcp_table(5): `get key`, answered by a line with `200 value`, `500 why` (not there) or `400 why` (later).
 * In both directions %XX stands for a byte that is not printable.
 */
export const driver = defineSource({
  about: 'A server that speaks Postfix’s tcp_table protocol.',
  settings: sourceSettings({
    server: serverAddress().describe('`host:port`, `[address]:port` or `unix:/path`.'),
    key: nameTemplate('a key').prefault('%u').describe('The key to look up.'),
    answers: answers(meanings).prefault('backend'),
  }),
  create(settings, { findHome }) {
    const { server: address, key, answers: meaning } = settings;

    const server = new LineClient(address, readTableLine);
    return {
      async ask(name, signal) {
        const reply = await server.ask(`get ${fillTemplate(key, name, escapeKey)}\n`, signal);
        const [, status = '', text = ''] = /^(\d{3})(?: (.*))?$/.exec(reply) ?? [];
        switch (status) {
          case '200':
            return readValue(unescapeValue(text), meaning, { name, findHome });
          case '500':
            return unknownUser;
          case '400':
            throw couldNotAsk(`${address.label} answered 400`);
          default:
            throw badAnswer(`${address.label} gave an answer that the protocol does not have`);
        }
      },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
});

/** Escapes a key: every byte that is not printable ASCII, and the per cent sign. */
export function escapeKey(value: string): string {
  return Array.from(Buffer.from(value), (byte) => {
    const isPlain = byte > 32 && byte < 127 && byte !== 37;
    return isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`;
  }).join('');
}

function unescapeValue(text: string): string {
  const latin1 = text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(latin1, 'latin1').toString('utf8');
}

function readTableLine(received: Buffer): string | undefined {
  const end = received.indexOf(10);
  if (end === -1) return undefined;
  if (end < received.length - 1) throw new Error('answered with more than one line');
  return received.toString('latin1', 0, end).replace(/\r$/, '');
}
