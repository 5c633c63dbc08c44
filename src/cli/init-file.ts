/** The answers that a new configuration is made of. */
export interface InitAnswers {
  readonly publicUrl: string;
  readonly listen: string;
  /** Empty: names are used as they are typed. */
  readonly domain: string;
  /** Empty: the embedded store. */
  readonly redis: string;
  readonly driver: string;
  /** Empty: the system's authorities. */
  readonly caFile: string;
  readonly backends: readonly InitBackend[];
}

export interface InitBackend {
  readonly name: string;
  readonly imap: string;
  readonly webmail: string;
}

/** A commented configuration. What an answer holds is quoted, so that it can only ever be a value. */
export function initFile(answers: InitAnswers): string {
  const { publicUrl, listen, domain, redis, driver, caFile, backends } = answers;
  const isSecure = publicUrl.startsWith('https:');
  const [first] = backends;
  const isOne = backends.length === 1 && first !== undefined;
  return [
    '# Postern. Every key: docs/configuration.md. What is wrong: postern check -c THIS_FILE',
    '# Paths are relative to this file. A secret is { file: NAME } or { env: VARIABLE }, never written out here.',
    '',
    '# Where browsers, or your load balancer, reach this node.',
    `listen: ${quote(listen)}`,
    '# Behind a balancer that keeps idle connections for more than 60 s (Google 600 s, Envoy 1 h; docs/load-balancers.md):',
    `# listen: { address: ${quote(listen)}, keep_alive: 620s }`,
    '',
    '# What users type. Requests for any other host are refused; several addresses are a [list].',
    `public_url: ${quote(publicUrl)}`,
    '',
    `# Networks of your load balancers: only their X-Forwarded-* are believed.${isSecure ? ' One of them must end TLS.' : ''}`,
    `trusted_proxies: ${isSecure ? '[127.0.0.1]' : '[]'}`,
    '',
    '# For operators only: /metrics and health, and the socket that postern backend, who, kick and move speak to.',
    'operators: { listen: 127.0.0.1:9090, socket: state/postern.sock }',
    '',
    'sessions:',
    redis === ''
      ? line('  # redis: redis://127.0.0.1:6379/0', 'for several nodes; without it state/postern.sqlite')
      : `  redis: ${quote(redis)}`,
    line('  keys_file: state/keys', 'the same on all nodes; made by the first one that starts'),
    '  # idle_timeout: 30 min',
    '  # absolute_timeout: 12h',
    '',
    'directory:',
    domain === ''
      ? line('  # default_domain: example.org', 'put after names without a domain')
      : line(`  default_domain: ${quote(domain)}`, 'put after names without a domain'),
    line('  sources:', 'asked in this order'),
    isOne
      ? line(`    - { type: static, backend: ${quote(first.name)} }`, 'one backend for everybody')
      : line('    - { type: map, file: users.map }', '"alice@example.org: a", one per line'),
    '',
    'backend_defaults:',
    `  driver: ${quote(driver)}`,
    caFile === ''
      ? line('  # tls_ca_file: ca.crt', "instead of the system's authorities")
      : line(`  tls_ca_file: ${quote(caFile)}`, "instead of the system's authorities"),
    ...driverLines(driver),
    '',
    '# imaps:// is TLS at once, imap:// is STARTTLS, required. The path of the webmail is where users land.',
    'backends:',
    ...backends.map(
      ({ name, imap, webmail }) => `  ${quote(name)}: { imap: ${quote(imap)}, webmail: ${quote(webmail)} }`,
    ),
    '',
    line('# include: backends.d/*.yaml', 'further backends'),
    '',
  ].join('\n');
}

/** Settings without which a driver cannot be; what they say is to be looked at. */
function driverLines(driver: string): readonly string[] {
  if (driver === 'form') {
    return [
      '  # An example: your webmail has other names and marks. How to find them, and those of known webmails:',
      '  # docs/webmails/form.md',
      '  form:',
      line('    # page: /login', 'where the form stands, if not on the landing page'),
      '    user_field: username',
      '    password_field: password',
      line('    success: { status: 302 }', 'what the answer to a right password shows'),
      line('    failure: { status: 200 }', 'and to a wrong one'),
      line('    # lost: { status: 302, location: /login }', 'and any answer without a session'),
    ];
  }
  if (driver !== 'header') return [];
  return [
    '  # The webmail must believe the user only beside the secret: docs/webmails/header.md',
    `  header: { user_field: X-Remote-User, secret: { file: ${headerSecretFile} } }`,
  ];
}

/** Beside a configuration with the `header` driver: what the webmail knows the gateway by. */
export const headerSecretFile = 'header.secret';

/** Beside a configuration with several backends. */
export function initMap({ domain, backends }: InitAnswers): string {
  return `# Where each user lives: "user: backend", one per line. The file is read again when it changes.
# An example; write your own users instead.
alice@${domain === '' ? 'example.org' : domain}: ${backends[0]?.name ?? 'a'}
`;
}

function line(text: string, comment: string): string {
  return `${text.padEnd(39)} # ${comment}`;
}

/** Plain where YAML takes it so, also between braces; else as JSON, which is YAML too. */
function quote(text: string): string {
  const isPlain = /^[a-z][\w./:@-]*$/i.test(text) && !/:$|^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text);
  return isPlain ? text : JSON.stringify(text);
}
