import { type DebianRelease, type DebianRoot, keptDebianRoot } from '../debian-root.fixture.ts';

/** What the samples of integrations/ are for. */
const packages = [
  'dovecot-imapd',
  'dovecot-pop3d',
  'dovecot-managesieved',
  'dovecot-auth-lua',
  'lua-socket',
  'lua-cjson',
  'cyrus-common',
];

/** A root with the mail servers that the samples are for, as that release has them. */
export function mailRoot(release: DebianRelease): Promise<DebianRoot> {
  return keptDebianRoot(release, 'mail', packages);
}
