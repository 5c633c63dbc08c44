import { parseJson } from '../../core/json.ts';
import { readNamedFile } from '../../core/named-files.ts';
import type { LoginName } from '../../core/names.ts';
import { readAnswerKeys, readAnswerObject, readHost, type ValueContext } from '../answers.ts';
import { fillTemplate, isRecord, readTemplate, type Settings } from '../settings.ts';
import { badAnswer, couldNotAsk, type SourceAnswer, type SourceDriver, unknownUser } from '../source.ts';
import { createHttpClient, type HttpQuestion, type HttpReply } from './http-client.ts';

type Protocol = { ask(name: LoginName): HttpQuestion; read(reply: HttpReply, context: ValueContext): SourceAnswer };

/**
 * A web service that says where users live.
 *
 * `protocol: json` (the default): GET or POST; 200 with a JSON object, 404 for an unknown user. `protocol: auth_http`:
 * the questions that nginx's mail proxy asks (ngx_mail_auth_http_module), whose `Auth-Server` names the home; no
 * password is sent. Any other status is a tempfail.
 */
export const driver: SourceDriver = {
  configure(settings) {
    const url = settings.text('url');
    const caFile = settings.optionalText('tls_ca_file');
    const token = settings.secret('bearer_token');
    const protocol = settings.choice('protocol', ['json', 'auth_http'], 'json');
    const shape = protocol === 'json' ? readJsonProtocol(settings) : readAuthHttpProtocol(settings);
    // The host is the operator's alone: no part of a name may get into it.
    if (url !== '' && !/^https?:\/\/[^/?#%@\s]+(?:[/?#]|$)/.test(url)) {
      settings.problem('url', 'write http://host:port/path or https://…, with %u, %n and %d in the path or query');
    }

    return async ({ label, findHome }) => {
      const ca = caFile === undefined ? undefined : (await readNamedFile(caFile)).toString();
      const client = createHttpClient({ label, ca });
      const authorization = token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` };
      return {
        async ask(name, signal) {
          const question = shape.ask(name);
          const headers = { accept: 'application/json', ...question.headers, ...authorization };
          const reply = await client.send({ ...question, headers }, signal);
          if (reply.status === 404 && protocol === 'json') return unknownUser;
          if (reply.status !== 200) throw couldNotAsk(`${label} answered ${reply.status}`);
          return shape.read(reply, { name, findHome });
        },
        [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
      };
    };
  },
};

function readJsonProtocol(settings: Settings): Protocol {
  const url = readTemplate(settings, 'url');
  const method = settings.choice('method', ['GET', 'POST'], 'GET');
  const keys = readAnswerKeys(settings, 'key');
  return {
    ask(name) {
      const filled = fillTemplate(url, name, escapeUrlPart);
      if (method === 'GET') return { method, url: filled, headers: {} };
      const headers = { 'content-type': 'application/json' };
      return { method, url: filled, headers, body: JSON.stringify({ user: name }) };
    },
    read: ({ body }, context) => readAnswerObject(parseObject(body), keys, context),
  };
}

/** Escapes a value for one segment of a path or one value of a query (RFC 3986). */
export function escapeUrlPart(value: string): string {
  // Even escaped once, these two are steps in a path, and no name in it.
  return value === '.' || value === '..' ? value.replaceAll('.', '%252E') : encodeURIComponent(value);
}

function parseObject(body: string): Readonly<Record<string, unknown>> {
  const answer = parseJson(body);
  if (isRecord(answer)) return answer;
  throw badAnswer('the answer is no JSON object');
}

function readAuthHttpProtocol(settings: Settings): Protocol {
  const url = settings.text('url');
  const mailProtocol = settings.choice('mail_protocol', ['imap', 'pop3', 'smtp'], 'imap');
  const unknownStatus = settings.text('unknown_status', 'Invalid login or password');
  return {
    ask: (name) => ({
      method: 'GET',
      url,
      headers: {
        // As nginx encodes it, and the only way for a name that is not ASCII.
        'auth-user': encodeURIComponent(name).replaceAll('%40', '@'),
        'auth-method': 'none',
        'auth-protocol': mailProtocol,
        'auth-login-attempt': '1',
      },
    }),
    read(reply) {
      const status = reply.header('auth-status');
      if (status === unknownStatus) return unknownUser;
      if (status !== 'OK') throw couldNotAsk('the service answered with another Auth-Status than OK');
      const home = reply.header('auth-server');
      if (home === undefined) throw badAnswer('the answer has no Auth-Server');
      const user = reply.header('auth-user');
      return { kind: 'found', home: readHost(home), ...(user === undefined ? {} : { user: decode(user) }) };
    },
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
