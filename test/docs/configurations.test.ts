import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { parse, stringify } from 'yaml';
import { problemsOf } from '../config/config.fixture.ts';
import { makeCertificate } from '../passdb/certificates.fixture.ts';
import { type Block, blocks, root } from './pages.fixture.ts';
import { runInSandbox } from './sandbox.fixture.ts';

/*
 * The configurations of all pages. A block with a path of the project behind its language must stand in that file, which
 * has a test of its own; any other is put into the least that is whole, and given to the program that it is for.
 */

const backendAt = (host: string) => ({ imap: `imaps://${host}`, webmail: `http://${host}/`, driver: 'none' });
const backends = Object.fromEntries(['a', 'b', 'b17', 'old'].map((name) => [name, backendAt(`${name}.test`)]));

/** The example as a whole configuration. Missing sections are as small as possible. */
function completed(example: object): string {
  const named: { directory?: object; backends?: object } = example;
  return stringify({
    public_url: 'http://127.0.0.1:8080',
    ...example,
    directory: { sources: [{ type: 'static', backend: 'a' }], ...named.directory },
    backends: { ...backends, ...named.backends },
  });
}

/** Errors about what a page cannot contain: files beside the configuration, and variables. */
const surroundings = /there is no file|the environment variable \w+ is not set/;

async function acceptsPostern(t: TestContext, { text }: Block): Promise<void> {
  const example: unknown = parse(text);
  // A comment alone, or the lines of one backend.
  if (example === null || typeof example !== 'object' || 'driver' in example) return;
  const problems = await problemsOf(t, { 'postern.yaml': completed(example) }, { checksDrivers: true });
  assert.deepEqual(
    problems.filter((problem) => !surroundings.test(problem)),
    [],
  );
}

/** A table of users, read as its source reads it. */
async function acceptsTable(t: TestContext, type: string, text: string): Promise<void> {
  const hosts = { 'mail-b.example.org': 'b', 'mail-a.example.net': 'a' };
  const directory = { hosts, sources: [{ type, file: 'homes' }] };
  const problems = await problemsOf(
    t,
    { 'postern.yaml': completed({ directory }), homes: text },
    { checksDrivers: true },
  );
  assert.deepEqual(problems, []);
}

interface Wrapped {
  readonly program: string;
  readonly whole: string;
}

const inHttp = (text: string): string => `http { access_log off; ${text} }`;
const inLocation = (text: string): string =>
  inHttp(`server { listen 8080; location / { proxy_pass http://127.0.0.1:1; ${text} } }`);
const nginxPlaces: readonly (readonly [first: RegExp, wrap: (text: string) => string])[] = [
  [/^\s*(?:mail|http|events|stream) \{/, (text) => text],
  [/^\s*(?:geo|map|upstream|server|log_format)\b/, inHttp],
  [/^/, inLocation],
];

/** The block in a whole configuration, and the command that parses it; `FILE` is that configuration. */
function wrapped({ language, text }: Block): Wrapped {
  switch (language) {
    case 'nginx': {
      const [, wrap] = nginxPlaces.find(([first]) => first.test(text.replace(/^\s*#.*\n/gm, ''))) ?? [/^/, inLocation];
      const modules = existsSync('/usr/lib/nginx/modules/ngx_mail_module.so')
        ? 'load_module /usr/lib/nginx/modules/ngx_mail_module.so;'
        : '';
      const whole = `${/^\s*mail \{/.test(text) ? modules : ''}\nerror_log stderr; pid /run/docs-nginx.pid;\n${/^\s*events \{/m.test(text) ? '' : 'events {}\n'}${wrap(text)}`;
      return { program: 'nginx -t -c FILE', whole };
    }
    case 'haproxy': {
      const whole = /^\s*(?:frontend|backend|listen|global|defaults) ?/.test(text)
        ? text
        : `defaults\n    mode http\n    timeout client 1s\n    timeout server 1s\n    timeout connect 1s\nlisten nodes\n    bind 127.0.0.1:8099\n${text}`;
      return { program: 'haproxy -c -f FILE', whole };
    }
    case 'dovecot':
      return { program: 'doveconf -n -c FILE', whole: `protocols = imap\nssl = no\n${text}` };
    case 'logrotate':
      return { program: 'logrotate --debug FILE', whole: text };
    case 'php':
      return { program: 'php -l FILE', whole: text.startsWith('<?php') ? text : `<?php\n${text}` };
    case 'lua':
      return { program: 'luac5.3 -p FILE', whole: text };
    default:
      throw new Error(`nothing here parses ${language}`);
  }
}

const { cert, key } = makeCertificate('DNS:mail.example.org');

/** The files that a configuration names, so that its program finds them. */
function filesNamedIn(text: string): Readonly<Record<string, string>> {
  const named = [...text.matchAll(/\b(?:ssl_certificate(?:_key)?|crt) +(\/[\w./-]+)/g)].map(([, path = '']) => path);
  return Object.fromEntries(named.map((path) => [path, `${cert}${key}`]));
}

async function acceptedByItsProgram(block: Block): Promise<void> {
  const { program, whole } = wrapped(block);
  const file = '/etc/docs.conf';
  const files = { [file]: whole, ...filesNamedIn(block.text) };
  await runInSandbox(`chmod 644 ${file}\n${program.replace('FILE', file)} < /dev/null\n`, { files }, async (end) => {
    assert.equal(end.code, 0, `${block.at}\n${end.said}`);
  });
}

/** Lines without their indentation, which a page may change. */
const bare = (text: string): string => text.replace(/^[ \t]+/gm, '').trim();

function standsInItsFile({ at, file = '', text }: Block): void {
  assert.ok(existsSync(join(root, file)), `${at}: there is no file ${file}`);
  assert.ok(bare(readFileSync(join(root, file), 'utf8')).includes(bare(text)), `${at} is not in ${file}:\n${text}`);
}

/** Blocks that a test elsewhere runs or parses. */
const elsewhere: Readonly<Record<string, string>> = {
  'docs/operate.md redis': 'test/field/redis.test.ts',
  'docs/alerts.md yml': 'test/alerts/page.test.ts',
  'demo/README.md ts': 'test/demo/imap-server.test.ts',
  'docs/webmails/form.md html': 'test/webmail/form.test.ts',
};

/** Not an absolute path. */
const isOfProject = ({ file }: Block): boolean => file !== undefined && /^[\w.-]+\//.test(file);
const commandsAndTexts = new Set(['sh', 'console', 'text']);
const shown = blocks.filter(
  (block) =>
    (!commandsAndTexts.has(block.language) || isOfProject(block)) &&
    // The examples of the reference have their own test, and so has the walk: its servers start with its files.
    !['docs/configuration.md', 'docs/first-cluster.md'].includes(block.page),
);

describe('the configuration at', () => {
  for (const block of shown) {
    const covered = elsewhere[`${block.page} ${block.language}`];
    if (covered !== undefined) {
      it(`${block.at} is tested by ${covered}`, () => assert.ok(existsSync(join(root, covered))));
    } else if (isOfProject(block)) {
      it(`${block.at} stands in ${block.file}`, () => standsInItsFile(block));
    } else if (block.language === 'yaml') {
      it(`${block.at} is accepted by postern check`, (t) => acceptsPostern(t, block));
    } else if (block.language === 'map' || block.language === 'regexp') {
      const type = block.language === 'map' ? 'map' : 'regex';
      it(`${block.at} is read by the source ${type}`, (t) => acceptsTable(t, type, block.text));
    } else if (block.language === 'json') {
      it(`${block.at} is JSON`, () => assert.doesNotThrow(() => JSON.parse(block.text)));
    } else {
      it(`${block.at} is accepted by its program`, () => acceptedByItsProgram(block));
    }
  }
});
