import { parseJson } from '../../core/objects.ts';
import { leaf, wrappedSecret } from '../../schema/scalars.ts';
import { read, shownValue, wrong } from '../../schema/value-parsers.ts';
import {
  defineSource,
  fillTemplate,
  isRecord,
  nameTemplate,
  readAuthorities,
  sourceSettings,
  tlsAuthorities,
} from '../settings.ts';
import { badAnswer, couldNotAsk, type SourceAnswer } from '../source.ts';
import { readHost } from '../table-entries.ts';
import { createHttpClient } from './http-client.ts';

const commandTag = 'postern';
const doveadmRemedy = 'write http://director:8080/doveadm/v1, or https://…';

/**
 * A Dovecot director (2.3): its doveadm HTTP API says where the user is, or would be (`directorStatus`). It is for sites
 * that move off the director step by step: webmail and the director's own IMAP sessions of a user meet on one backend.
 * A director has a place for every name, so that its answers are defaults: let another source say who exists.
 */
export const driver = defineSource({
  about: 'A Dovecot director that you are migrating from.',
  settings: sourceSettings({
    url: leaf({
      what: 'a URL of doveadm',
      remedy: doveadmRemedy,
      examples: ['http://director:8080/doveadm/v1'],
      parse: (written) =>
        /^https?:\/\/[^/]+\/doveadm\/v1$/.test(written)
          ? read(written)
          : wrong(`${shownValue(written)} is not a URL of doveadm: ${doveadmRemedy}`),
    }).describe('The URL of the director’s doveadm HTTP API.'),
    api_key: wrappedSecret('write { file: NAME }, with doveadm_api_key of the director').describe(
      '`doveadm_api_key` of the director.',
    ),
    key: nameTemplate('a key').prefault('%u').describe('The user as the director knows it (`director_username_hash`).'),
    tls_ca_file: tlsAuthorities(),
  }),
  async create(settings, { label }) {
    const { url, api_key: apiKey, key: user } = settings;

    const ca = await readAuthorities(settings.tls_ca_file);
    const client = createHttpClient({ label, ca });
    const key = Buffer.from(apiKey.reveal()).toString('base64');
    const headers = { authorization: `X-Dovecot-API ${key}`, 'content-type': 'application/json' };
    return {
      async ask(name, signal) {
        const parameters = { user: fillTemplate(user, name, (value) => value) };
        const body = JSON.stringify([['directorStatus', parameters, commandTag]]);
        const reply = await client.send({ method: 'POST', url, headers, body }, signal);
        if (reply.status !== 200) throw couldNotAsk(`${label} answered ${reply.status}`);
        return readStatus(reply.body);
      },
      [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
    };
  },
});

/** Reads `[["doveadmResponse",[{"status":"n/a","hashed":"10.0.0.3",…}],"tag"]]`; `status` is where the user is now. */
function readStatus(body: string): SourceAnswer {
  const [response, ...others] = parseArray(body);
  const [kind, rows] = Array.isArray(response) ? response : [];
  if (kind === 'error') throw couldNotAsk('the director answered with an error');
  if (kind !== 'doveadmResponse' || others.length > 0 || !Array.isArray(rows))
    throw badAnswer('the answer is not a doveadm response');
  const row: unknown = rows[0];
  if (rows.length !== 1 || !isRecord(row)) throw badAnswer('the answer is not a user status');
  for (const key of ['status', 'hashed']) {
    const place = row[key];
    if (typeof place === 'string' && place !== '' && place !== 'n/a') {
      return { kind: 'found', home: readHost(place), byDefault: true };
    }
  }
  throw couldNotAsk('the director has no backend for this user');
}

function parseArray(body: string): readonly unknown[] {
  const parsed = parseJson(body);
  if (Array.isArray(parsed)) return parsed;
  throw badAnswer('the answer is not a JSON list');
}
