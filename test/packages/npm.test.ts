import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type DemoBackends, startBackends } from '../../demo/backends.ts';
import { writeConfiguration } from '../../demo/configuration.ts';
import { bob } from '../../demo/people.ts';
import { Browser, fieldsIn } from '../demo/browser.fixture.ts';
import { freePort } from '../ports.fixture.ts';
import { awaitPort, runProgram, startProgram } from '../programs.ts';
import { startRedisServer } from '../redis-server.fixture.ts';
import { copiedCommit, copyCheckout, npm, pack } from './checkout.fixture.ts';

const root = new URL('../../', import.meta.url);
const opened = new AsyncDisposableStack();
let folder: string;
let filesBefore: readonly string[];
let filesAfter: readonly string[];
let installed: string;
let bin: string;
let backends: DemoBackends;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-npm-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  await using checkout = await copyCheckout();
  filesBefore = await checkout.files();
  const tarball = await pack(checkout.path, folder);
  filesAfter = await checkout.files();
  const project = join(folder, 'project');
  await mkdir(project);
  await npm(['install', tarball, '--omit=optional', '--prefer-offline'], project);
  installed = join(project, 'node_modules/postern');
  bin = join(project, 'node_modules/.bin/postern');
  backends = opened.use(await startBackends(Date.now()));
});
after(() => opened.disposeAsync());

/** A folder with the demo's configuration and these lines; resolves with the name of the file. */
async function configure(name: string, port: number, lines = ''): Promise<string> {
  const directory = join(folder, name);
  await mkdir(directory);
  const file = await writeConfiguration(backends, { directory, port });
  await writeFile(file, (await readFile(file, 'utf8')) + lines);
  return file;
}

async function signsIn(port: number): Promise<void> {
  const browser = new Browser(`http://127.0.0.1:${port}`);
  const form = fieldsIn(await browser.text('/-/login'));
  form.set('user', bob.address);
  form.set('password', bob.password);
  const { path, body } = await browser.submit('/-/login', form);
  assert.equal(path, '/mail/INBOX');
  assert.match(body.toString(), /bob@example\.test/);
}

describe('npm pack', () => {
  it('leaves nothing in the checkout', () => {
    assert.ok(filesBefore.includes('package.json'));
    assert.deepEqual(filesAfter, filesBefore);
  });

  it('takes all that a running gateway and its operator need, and no TypeScript and no tests', () => {
    const files = globSync('**', { cwd: installed });
    for (const needed of [
      'lib/main.js',
      'lib/gateway/worker-process.js',
      'views/login.eta',
      'views/locales/de.json',
      'static/page.css',
      'docs/postern.schema.json',
      'docs/configuration.md',
      'integrations/roundcube/postern/postern.php',
      'examples/lab.yaml',
      'CHANGELOG.md',
      'LICENSE',
    ]) {
      assert.ok(files.includes(needed), needed);
    }
    assert.deepEqual(
      files.filter((name) => /\.ts$|^(?:src|test|bench|demo|tools|deploy\/(?:compose|deb))\b/.test(name)),
      [],
    );
  });

  it('takes the pictures that its pages show', () => {
    const missing = globSync(['README.md', 'docs/**/*.md'], { cwd: installed }).flatMap((page) => {
      const text = readFileSync(join(installed, page), 'utf8');
      const shown = [...text.matchAll(/!\[[^\]]*\]\((?!https?:)([^)\s]+)\)|<img [^>]*src="(?!https?:)([^"]+)"/g)];
      return shown
        .map(([, one, other]) => join(dirname(page), one ?? other ?? ''))
        .filter((image) => !existsSync(join(installed, image)));
    });
    assert.deepEqual(missing, []);
  });

  it('keeps the lines of each file, so that a stack trace names a line of the source', async () => {
    for (const name of globSync('src/**/*.ts', { cwd: root, exclude: ['**/*.d.ts'] })) {
      const [source, stripped] = await Promise.all([
        readFile(new URL(name, root), 'utf8'),
        readFile(join(installed, name.replace(/^src(.*)\.ts$/, 'lib$1.js')), 'utf8'),
      ]);
      assert.equal(stripped.split('\n').length, source.split('\n').length, name);
    }
  });
});

describe('the package, installed by npm into an empty folder', () => {
  it('says its version, and the commit that it was made of', async () => {
    const { version } = JSON.parse(await readFile(new URL('package.json', root), 'utf8'));
    const said = await runProgram(process.execPath, [bin, '--version']);
    assert.ok(said.startsWith(`${version} (commit ${copiedCommit.slice(0, 12)}, `), said);
  });

  it('says under an older Node how to get a newer one', async () => {
    const pretend = "Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.20.2'}})";
    const nodeArgs = ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`];
    await assert.rejects(runProgram(process.execPath, [...nodeArgs, bin, '--version']), {
      code: 2,
      stderr:
        'Postern needs Node 24 or newer; this is Node 20.20.2. ' +
        'Install Node 24, or install Postern with its optional packages, which bring one along.\n',
    });
  });

  it('checks a configuration', async () => {
    const file = await configure('checked', await freePort());
    assert.match(await runProgram(process.execPath, [bin, 'check', '-c', file]), /postern\.yaml is valid\./);
  });

  it('serves, and signs a user in', async () => {
    const port = await freePort();
    const file = await configure('alone', port);
    const isReady = () => awaitPort(port);
    await using _gateway = await startProgram(process.execPath, [bin, 'serve', '-c', file], { isReady });
    await signsIn(port);
  });

  it('serves by workers, too', async () => {
    await using redis = await startRedisServer();
    const port = await freePort();
    const file = await configure('workers', port, `workers: 2\nsessions: { redis: "${redis.url}" }\n`);
    const isReady = () => awaitPort(port);
    await using gateway = await startProgram(process.execPath, [bin, 'serve', '-c', file], { isReady });
    const children = await readFile(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8');
    const commands = await Promise.all(
      children
        .trim()
        .split(' ')
        .map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8')),
    );
    assert.deepEqual(
      commands.map((command) => command.includes(join(installed, 'lib/gateway/worker-process.js'))),
      [true, true],
    );
    await signsIn(port);
  });
});
