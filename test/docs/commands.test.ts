import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { comparable, commandsIn, readTreatments, type ShownCommand } from './commands.fixture.ts';
import { type Block, blocks, blocksOf, pages } from './pages.fixture.ts';
import { runInSandbox } from './sandbox.fixture.ts';
import { type DocumentedSite, startDocumentedSite } from './site.fixture.ts';

/*
 * The commands of all pages are run as they stand, page by page, from top to bottom: in a sandbox, before real servers.
 * commands.tsv lists those that cannot run here, with the test that covers each, and what placeholders stand for.
 */

/** Its commands run on five machines, in first-cluster.test.ts. */
const ownTest = 'docs/first-cluster.md';

const treatments = readTreatments();
const used = new Set<string>();

function treatmentOf({ name }: ShownCommand) {
  const found = [...treatments].find(([listed]) =>
    listed.endsWith('*') ? name.startsWith(listed.slice(0, -1)) : listed === name,
  );
  if (found === undefined) return undefined;
  used.add(found[0]);
  return found[1];
}

const isScript = ({ text }: Block): boolean => text.startsWith('#!');
const hasCommands = (block: Block): boolean =>
  (block.language === 'sh' || block.language === 'console') && !isScript(block);
/** An absolute path behind the language: the block is that file, for the commands after it. */
const installedAs = ({ file }: Block): string | undefined => (file?.startsWith('/') === true ? file : undefined);

/** What each script begins with: how a gateway is started beside its commands. */
const functions = `
getent passwd postern > /dev/null || useradd --system postern # as the package does
gateway() { sed -n '/"event":"ready"/s/.*"pid":\\([0-9]*\\).*/\\1/p' "$OUT/serve.log" 2>/dev/null | tail -1; }
is_up() { local pid=$(gateway); [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; }
gone() { for _ in $(seq 200); do is_up || { rm -f "$OUT/serve.log"; return 0; }; sleep 0.1; done; return 1; }
stop() { is_up || return 0; kill -TERM $(gateway); gone; }
serve() {
  stop && "$@" > "$OUT/serve.log" 2>&1 &
  for _ in $(seq 300); do grep -q '"event":"ready"' "$OUT/serve.log" 2>/dev/null && return 0; sleep 0.1; done
  cat "$OUT/serve.log"; return 1
}
serve_as_service() { # afresh: what the gateway of root has left is none of the page's
  stop; rm -rf /var/lib/postern/* /var/log/postern/*
  serve setpriv --reuid postern --regid postern --init-groups postern serve
}
redis_up() {
  redis-server /etc/redis/redis.conf --port $REDIS_PORT --bind 127.0.0.1 --requirepass "$REDISCLI_AUTH" \\
    --daemonize no --supervised no --logfile "" > "$OUT/redis.log" 2>&1 &
  for _ in $(seq 100); do redis-cli -p $REDIS_PORT ping 2>/dev/null | grep -q PONG && return 0; sleep 0.1; done
  cat "$OUT/redis.log"; return 1
}
run() { # NUMBER: runs the function of that name, and stops at the first command that fails
  "command_$1" > "$OUT/$1.said" 2>&1 < /dev/null
  local code=$?
  echo $code > "$OUT/$1.code"
  [ $code -eq 0 ] || [ "\${2:-}" = refused ] || exit 0
}
`;

interface Run {
  readonly command: ShownCommand;
  readonly refused: string | undefined;
}

/** The script of a page, and what its commands are, by their numbers. */
function scriptOf(page: string): { readonly script: string; readonly runs: readonly Run[] } {
  const lines = [functions];
  let isStopped = false;
  const runs: Run[] = [];
  for (const block of blocksOf(page)) {
    const path = installedAs(block);
    if (path !== undefined) {
      lines.push(
        `mkdir -p "$(dirname ${path})" && rm -f ${path} && cat > ${path} <<'WHOLE FILE'\n${block.text}WHOLE FILE`,
      );
      if (isScript(block)) lines.push(`chmod 755 ${path}`);
    }
    if (!hasCommands(block)) continue;
    lines.push(`cd ${/^(?:npm|node) /m.test(block.text) ? '/opt/postern' : '/etc/postern'}`);
    const servesItself = commandsIn(block).some(({ name }) => /\bserve\b/.test(name));
    for (const command of commandsIn(block)) {
      const treatment = treatmentOf(command);
      if (treatment?.kind === 'elsewhere') continue;
      if (command.name === 'systemctl stop postern') isStopped = true;
      if (command.name === 'systemctl start postern') isStopped = false;
      else if (!servesItself && !isStopped && /\bpostern\b/.test(command.name))
        lines.push('is_up || serve postern serve > /dev/null');
      const text = treatment?.text ?? command.text;
      const isServe = /^(?:npm run -s )?postern (?:-- )?serve\b/.test(text);
      const refused = treatment?.kind === 'refused' ? treatment.words : undefined;
      const number = runs.push({ command, refused });
      lines.push(`command_${number}() {\n${isServe ? 'serve ' : ''}${text}\n}`);
      lines.push(`run ${number}${refused === undefined ? '' : ' refused'}`);
    }
  }
  lines.push('stop');
  return { script: lines.join('\n'), runs };
}

describe('the commands of', () => {
  let site: DocumentedSite;
  before(async () => {
    site = await startDocumentedSite();
  });
  after(() => site[Symbol.asyncDispose]());

  for (const page of pages.filter((each) => each !== ownTest && blocksOf(each).some(hasCommands))) {
    it(`${page} work as they stand, from top to bottom`, async () => {
      const { script, runs } = scriptOf(page);
      if (runs.length === 0) return;
      await runInSandbox(script, site, async ({ said, read }) => {
        for (const [index, { command, refused }] of runs.entries()) {
          const output = await read(`${index + 1}.said`);
          const code = (await read(`${index + 1}.code`)).trim();
          const shown = `${command.at}: ${command.text}\n${output}${said}`;
          if (refused === undefined) assert.equal(code, '0', shown);
          else assert.ok(code !== '0' && output.includes(refused), shown);
          if (command.output !== undefined && command.output.trim() !== '') {
            assert.equal(comparable(output), comparable(command.output), shown);
          }
        }
      });
    });
  }

  it('commands.tsv are all shown by some page', () => {
    for (const page of pages.filter((each) => each !== ownTest)) scriptOf(page);
    assert.deepEqual(
      [...treatments.keys()].filter((name) => !used.has(name)),
      [],
    );
  });
});

describe('the blocks of the docs', () => {
  const languages = new Set(
    'sh console yaml yml nginx haproxy dovecot logrotate redis postfix rsyslog map regexp php lua json html ts text'.split(
      ' ',
    ),
  );

  it('say in which language they are, so that each is run or parsed', () => {
    const others = blocks.filter(({ language }) => !languages.has(language));
    assert.deepEqual(
      others.map(({ at, language }) => `${at} ${language}`),
      [],
    );
  });

  it('call no command a text', () => {
    const texts = blocks.filter(
      ({ language, text }) => language === 'text' && /^(?:\$ |postern |npm |sudo )/m.test(text),
    );
    assert.deepEqual(
      texts.map(({ at }) => at),
      [],
    );
  });
});
