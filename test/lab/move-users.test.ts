import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import { startGateway } from '../../src/gateway.ts';
import { run } from '../cli/cli.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { execFileSync } from '../programs.ts';
import { labScript, lab as runLab, withLab } from './lab.ts';
import { RoundcubeUser } from './roundcube-user.ts';

const lab = await withLab('a', 'b');
const page = readFileSync('docs/move-users.md', 'utf8');
const example = page.slice(page.indexOf('## An example'), page.indexOf('## When something breaks'));
const installedAs = '/usr/local/bin/carry-mailbox';

/** The first block of the example in this language; `console` for a session of commands. */
function blockOf(language: string): string {
  const text = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'm').exec(example)?.[1];
  assert.ok(text !== undefined, `the example has a block of ${language}`);
  return text;
}

/** The commands of the example, each with its documented output. */
function commands(): readonly { readonly args: readonly string[]; readonly output: string }[] {
  return blockOf('console')
    .split(/^\$ postern /m)
    .slice(1)
    .map((text) => {
      const [command = '', ...lines] = text.split('\n');
      const args = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
      return { args, output: lines.join('\n') };
    });
}

suite('the example of docs/move-users.md', { concurrency: false }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-move-'));
  const inFolder = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    chmodSync(join(folder, name), 0o755);
    return join(folder, name);
  };
  // The lab's servers share a machine, and its ssh is a program beside them. A hook knows nothing of our environment.
  const settings = Object.entries(process.env).flatMap(([name, value]) =>
    name.startsWith('LAB_') ? [`'${name}=${value}'`] : [],
  );
  const ssh = ['env', ...settings, labScript, 'exec', `${lab.dataFolder}/ssh`].join(' ');
  const program = inFolder('carry-mailbox', blockOf('sh').replaceAll('ssh "', `${ssh} "`));
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const backend = (name: string, address: string): string =>
    `  ${name}: { imap: "imaps://${address}:${lab.port(993)}", webmail: "http://${address}:${lab.port(80)}/", driver: roundcube }`;
  inFolder('users.map', 'mia@example.test: a\nalice@example.test: a\n');
  const configFile = inFolder(
    'postern.yaml',
    `listen: 127.0.0.1:${port}
public_url: ${origin}
trusted_proxies: [127.0.0.1]
operators: { listen: 127.0.0.1:0, socket: api.sock }
directory: { default_domain: example.test, sources: [{ type: map, file: users.map }] }
passdb: { tls_ca_file: "${lab.caFile}" }
login: { refusal_after: 0s }
shutdown: { delay: 0s, deadline: 2s }
backends:
${backend('a', '127.0.0.11')}
${backend('b', '127.0.0.12')}
${blockOf('yaml').replace(installedAs, program)}`,
  );
  // The lab has a mailbox of mia on b, too. Here she has none there, as before any first move.
  const mailOnB = `${lab.dataFolder}/b/data/mail/mia@example.test`;
  rmSync(mailOnB, { recursive: true, force: true });
  const gateway = await startGateway({ configFile, log: silentLog });
  after(async () => {
    await gateway.close();
    rmSync(mailOnB, { recursive: true, force: true });
    await runLab('seed', 'b');
    rmSync(folder, { recursive: true });
  });

  test('does what it says, and the open browser goes on at the new server with all mail, and back', async () => {
    const mia = new RoundcubeUser(origin);
    const alice = new RoundcubeUser(origin);
    assert.equal((await mia.signIn('mia', 'mia-pw')).status, 200);
    await alice.signIn('alice', 'alice-pw');
    const subject = `Carried ${port}`;
    const message = `From: bob@example.test\r\nTo: mia@example.test\r\nSubject: ${subject}\r\n\r\nBox by box.\r\n`;
    execFileSync('doveadm', ['-c', `${lab.dataFolder}/a/conf/dovecot.conf`, 'save', '-u', 'mia@example.test'], {
      input: message,
    });
    assert.match(await mailbox(mia), new RegExp(`backend a[^]*${subject}`));

    for (const { args, output } of commands()) {
      const ended = await run([...args, '-c', configFile]);
      assert.equal(ended.code, 0, ended.err);
      const said = ended.out.replace(program, installedAs);
      assert.ok(said.startsWith(output.trimEnd()), `${args.join(' ')} says\n${said}`);
      const place = args.includes('b') && !args.includes('--dry-run') ? 'b' : undefined;
      if (place === 'b') assert.match(await mailbox(mia), new RegExp(`backend b[^]*${subject}`));
    }
    assert.match(await mailbox(mia), new RegExp(`backend a[^]*${subject}`));
    assert.match(await mailbox(alice), /backend a/);
  });
});

/** The server and the subjects of the mailbox page. */
async function mailbox(person: RoundcubeUser): Promise<string> {
  const opened = await person.open('/?_task=mail');
  assert.equal(opened.status, 200);
  return `${/Webmail on backend \w/.exec(opened.body)?.[0]}\n${(await person.script('/?_task=mail&_action=list&_mbox=INBOX')).body}`;
}
