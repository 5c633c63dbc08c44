import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../eventually.fixture.ts';
import { type StandbySite, startStandbySite } from '../gateway/standby-site.fixture.ts';
import { printedTo, run } from './cli.fixture.ts';

describe('the status of the cluster at the command line', () => {
  let site: StandbySite;
  before(async () => {
    site = await startStandbySite();
    await site.signIn('alice');
  });
  after(() => site[Symbol.asyncDispose]());

  const postern = (...args: readonly string[]) => run([...args, '-c', site.configFile]);

  it('sums up what all nodes saw, and lists backends and nodes', async () => {
    await eventually(async () => / 1 sign-in in the last minute/.test((await postern('status')).out));
    const { code, out } = await postern('status');
    assert.equal(code, 0);
    assert.match(
      out,
      /^1 node, 2 backends, 1 session; 1 sign-in in the last minute \(0 refused, 0 failed\); .*embedded store\n/,
    );
    assert.match(out, /^BACKEND +STATE +SINCE +UNTIL +ACTIVE +SESSIONS/m);
    assert.match(out, /^a +READY +- +- +a +1 +1 +0 /m);
    assert.match(out, /^NODE +STATE +VERSION +CONFIGURATION /m);
    assert.match(out, /^\S+ \d+ [0-9a-f]{4} \* +READY +\d+\.\d+\.\d+ +[0-9a-f]{12} /m);
  });

  it('puts the worst first, with who set it, why, and until when', async () => {
    const until = new Date(Date.now() + 30 * 60_000).toISOString();
    await postern('backend', 'set', 'b', 'MAINT', '--until', until, '--reason', 'new disks');
    const { out } = await postern('status');
    assert.match(out, /^BACKEND .*\nb +MAINT +(?:now|\d+ s ago) +in 29 min +b .* \S+ \(socket\) +new disks\na +READY/m);
    const csv = (await postern('status', '--format', 'csv')).out.split('\r\n');
    assert.equal(csv[0], 'backend,state,since,until,active,sessions,sign_ins,failed,requests,5xx,p95_ms,by,why');
    assert.ok(csv[1]?.startsWith('b,MAINT,') && csv[1].includes(`,${until},b,0,`), csv[1]);
    assert.equal(JSON.parse((await postern('status', '--format', 'json')).out).backends[0].name, 'b');
    await postern('backend', 'set', 'b', 'READY', '--reason', 'done');
  });

  it('marks its own node for people, and leaves the name as it is for programs', async () => {
    assert.match(
      (await postern('node', 'list', '--format', 'csv')).out,
      /^node,state,.*\r\n\S+ \d+ [0-9a-f]{4},READY,/,
    );
  });

  it('says how often each alarm was raised', async () => {
    const text = await readFile(site.configFile, 'utf8');
    await writeFile(site.configFile, `${text}\nnonsense: 1\n`);
    assert.equal((await run(['reload', '-c', site.configFile])).code, 2);
    await writeFile(site.configFile, text);
    await eventually(async () =>
      /^Alarms in the last hour: ERR_CONFIG_INVALID once\. /m.test((await postern('status')).out),
    );
  });

  it('is shown again and again on a terminal, until q, in as many lines as it has', async () => {
    let shown = '';
    const keys = new EventEmitter();
    const terminal = {
      rows: () => 4,
      onKey(listener: (key: string) => void) {
        keys.on('key', listener);
        return () => void keys.off('key', listener);
      },
    };
    const print = (text: string): void => void (shown += text);
    const ended = run(['top', '--every', '1', '-c', site.configFile], { terminal, print });
    const frames = () => shown.split('\u001b[H\u001b[2J').slice(1);
    await eventually(() => frames().length >= 2);
    keys.emit('key', 'q');
    assert.equal((await ended).code, 0);
    assert.ok(shown.startsWith('\u001b[?1049h') && shown.endsWith('\u001b[?1049l'), 'the screen before comes back');
    for (const frame of frames()) assert.match(frame, /^1 node.*\n\n… 3 more/);
    assert.equal(keys.listenerCount('key'), 0);
  });

  it('is printed once by top without a terminal, and again and again by --watch until Ctrl-C', async () => {
    assert.match((await postern('top')).out, /^1 node.*\n\nBACKEND /);
    let shown = '';
    const signals = new EventEmitter();
    const print = (text: string): void => void (shown += text);
    const ended = run(['status', '--watch', '--every', '1', '-c', site.configFile], { signals, print });
    await eventually(() => shown.split('BACKEND').length > 2);
    signals.emit('SIGINT');
    assert.equal((await ended).code, 0);
    assert.equal((await postern('status', '--watch', '--every', '0')).code, 2);
  });

  it('is quiet when a reader leaves', async () => {
    const left = await printedTo('|true', ['backend', 'list', '-c', site.configFile]);
    assert.deepEqual([left.code, left.err], [0, '']);
  });
});
