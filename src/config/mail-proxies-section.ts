import type { z } from 'zod';
import { defined } from '../core/objects.ts';
import { arrayOf, duration, leaf, oneOf, section } from '../schema/scalars.ts';
import { read, shownValue, wrong } from '../schema/value-parsers.ts';
import { loginNameForm } from './backends-section.ts';
import { certificates, ownFile, type ReferencedFiles, secret } from './referenced-files.ts';

const urlRemedy = 'write https://HOST:PORT/doveadm/v1, the address of inet_listener http of service doveadm';
const nameRemedy = 'write a short name, such as front1';

/** Schema of `mail_proxies`. */
export function mailProxiesSection(referenced: ReferencedFiles) {
  return arrayOf(mailProxySection(referenced), 'maps of name, url and api_key')
    .prefault([])
    .superRefine((proxies, context) => {
      for (const [index, { name }] of proxies.entries()) {
        if (proxies.findIndex((one) => one.name === name) === index) continue;
        const message = `${name} is the name of another mail proxy, too: give each its own`;
        context.addIssue({ code: 'custom', path: [index, 'name'], message });
      }
    })
    .describe(
      'Proxies of mail, and mail servers, whose connections `postern who` shows, and which `postern kick`, `user lock` and ' +
        '`user move` end: see [mail-connections.md](mail-connections.md). Left out: none.',
    );
}

function mailProxySection(referenced: ReferencedFiles) {
  return section({
    name: leaf({
      what: 'a name of a mail proxy',
      remedy: nameRemedy,
      examples: ['front1'],
      parse: (name) =>
        /^[A-Za-z0-9][\w.-]{0,63}$/.test(name)
          ? read(name)
          : wrong(`${shownValue(name)} is not a name of a mail proxy: ${nameRemedy}`),
    }).describe('Its name in lists, in the log and in the audit.'),
    type: oneOf(['dovecot', 'program'])
      .prefault('dovecot')
      .describe(
        '`dovecot`: Dovecot 2.3 or 2.4, by the HTTP API of doveadm. `program`: any other, by a program of yours.',
      ),
    url: leaf({
      what: 'a URL of doveadm',
      remedy: urlRemedy,
      examples: ['https://front1.example.org:8080/doveadm/v1'],
      parse: (written) =>
        /^https?:\/\/[^\s/@?#]+\/doveadm\/v1$/.test(written) && URL.canParse(written)
          ? read(written)
          : wrong(`${shownValue(written)} is not a URL of doveadm: ${urlRemedy}`),
    })
      .optional()
      .describe('The URL of the doveadm HTTP API, for `type: dovecot`.'),
    api_key: secret(referenced)
      .optional()
      .describe('`doveadm_api_key` of that Dovecot: whoever has it may do everything there.'),
    tls_ca_file: certificates(referenced)
      .optional()
      .describe('CA certificates (PEM) for an https URL. Left out: those of the system.'),
    program: ownFile(referenced)
      .optional()
      .describe(
        'The program, for `type: program`. Its arguments are the action (`list` or `end`), the kind (`user`, `domain`, `network`) ' +
          'and the name. It prints `SERVICE ADDRESS` for each connection, and ends with 0.',
      ),
    login_name: loginNameForm()
      .optional()
      .describe('The form of user names there, as for [backends](#backends). Default: `full`.'),
    timeout: duration({ atLeastMs: 100, atMostMs: 30_000 })
      .prefault('2s')
      .describe('Time limit for each list and each end. One that is late is named, and keeps nothing else waiting.'),
  }).transform((written, context) => {
    const { name, type, timeout: timeoutMs, login_name: loginName } = written;
    return { name, timeoutMs, access: accessOf(type, written, context), ...defined({ loginName }) };
  });
}

interface WrittenAccess<Key> {
  readonly url?: string | undefined;
  readonly api_key?: Key | undefined;
  readonly tls_ca_file?: string | undefined;
  readonly program?: string | undefined;
}

const keysByType = { dovecot: ['url', 'api_key', 'tls_ca_file'], program: ['program'] } as const;

function accessOf<Key>(type: 'dovecot' | 'program', written: WrittenAccess<Key>, context: z.core.$RefinementCtx) {
  const complain = (key: string, message: string): void =>
    context.addIssue({ code: 'custom', path: [key], message, input: undefined });
  for (const key of keysByType[type === 'dovecot' ? 'program' : 'dovecot']) {
    if (written[key] !== undefined) complain(key, `has no meaning with type: ${type}: take it out`);
  }
  const { url, api_key: apiKey, tls_ca_file: ca, program } = written;
  if (type === 'dovecot') {
    if (url === undefined) complain('url', `is missing: ${urlRemedy}`);
    if (apiKey === undefined)
      complain('api_key', 'is missing: write { file: NAME }, with doveadm_api_key of that Dovecot');
    if (url !== undefined && apiKey !== undefined) return { kind: 'dovecot' as const, url, apiKey, ...defined({ ca }) };
  } else {
    if (program !== undefined) return { kind: 'program' as const, program };
    complain('program', 'is missing: write the path of a program that lists and ends connections');
  }
  // Never used: the file has problems.
  return { kind: 'program' as const, program: '' };
}
