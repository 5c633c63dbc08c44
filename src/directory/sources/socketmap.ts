import { textOrNumber } from '../../schema/scalars.ts';
import { LineClient } from '../line-client.ts';
import { defineSource, fillTemplate, nameTemplate, serverAddress, sourceSettings } from '../settings.ts';
import { badAnswer, couldNotAsk, unknownUser } from '../source.ts';
import { answers, meanings, readValue } from '../table-entries.ts';

const mapRemedy = 'write the name that the server has for it, without white space';

/**
 * Postfix's and Sendmail's socketmap protocol (socketmap_table(5)): netstrings `map key`, answered by `OK value`,
 * `NOTFOUND`, `TEMP why`, `TIMEOUT why` or `PERM why`.
 */
export const driver = defineSource({
  about: 'A server that speaks Postfix’s socketmap protocol.',
  settings: sourceSettings({
    server: serverAddress().describe('`host:port`, `[address]:port` or `unix:/path`.'),
    map: textOrNumber('the name of a map', mapRemedy)
      .refine((name) => !/\s/.test(name), { error: `contains white space: ${mapRemedy}` })
      .describe('The name of the map.'),
    key: nameTemplate('a key').prefault('%u').describe('The key to look up.'),
    answers: answers(meanings).prefault('backend'),
  }),
  create(settings, { findHome }) {
    const { server: address, map, key, answers: meaning } = settings;

    const server = new LineClient(address, readNetstring);
    return {
      async ask(name, signal) {
        const question = `${map} ${fillTemplate(key, name, (value) => value)}`;
        const reply = await server.ask(`${Buffer.byteLength(question)}:${question},`, signal);
        const [, status = '', text = ''] = /^(\S+) ?(.*)$/s.exec(reply) ?? [];
        switch (status) {
          case 'OK':
            return readValue(text, meaning, { name, findHome });
          case 'NOTFOUND':
            return unknownUser;
          case 'TEMP':
          case 'TIMEOUT':
          case 'PERM':
            throw couldNotAsk(`${address.label} answered ${status}`);
          default:
            throw badAnswer(`${address.label} gave an answer that the protocol does not have`);
        }
      },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
});

/** Reads one netstring (cr.yp.to/proto/netstrings.txt); undefined until it is complete. */
function readNetstring(received: Buffer): string | undefined {
  const head = received.toString('latin1', 0, 8);
  const colon = head.indexOf(':');
  if (colon === -1 && /^\d{0,6}$/.test(head)) return undefined;
  const digits = head.slice(0, Math.max(colon, 0));
  if (!/^(?:0|[1-9]\d{0,5})$/.test(digits)) throw new Error('did not answer with a netstring');
  const end = colon + 1 + Number(digits);
  if (received.length <= end) return undefined;
  if (received.length > end + 1 || received[end] !== 44) throw new Error('did not answer with a netstring');
  return received.toString('utf8', colon + 1, end);
}
