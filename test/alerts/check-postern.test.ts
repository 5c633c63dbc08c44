import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSocketServer, type Server, type Socket } from 'node:net';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort, listening } from '../ports.fixture.ts';
import { spawnSync } from '../programs.ts';
import { checkNode, checkWith } from './check-postern.fixture.ts';

const opened = new AsyncDisposableStack();
after(() => opened.disposeAsync());

/** The URL of a server that is closed in the end. */
async function urlOf(server: Server, sockets = new Set<Socket>()): Promise<string> {
  server.on('connection', (socket) => sockets.add(socket));
  const port = await listening(server);
  opened.defer(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${port}`;
}

const answering = (listener: RequestListener) => urlOf(createServer(listener));

/** A node whose /metrics are these. */
const showing = (metrics: string, ready = 'ready\n', status = 200) =>
  answering((request, response) => {
    if (request.url === '/metrics') response.end(`postern_build_info{version="1"} 1\n${metrics}\n`);
    else response.writeHead(status).end(ready);
  });

const daysFromNow = (days: number): number => Date.now() / 1000 + days * 86_400;

describe('check_postern', () => {
  describe('says CRITICAL, in one line, when the node', () => {
    it('refuses connections', async () => {
      const url = `http://127.0.0.1:${await freePort()}`;
      assert.deepEqual(await checkNode(url), [2, `POSTERN CRITICAL: ${url} cannot be reached: Connection refused\n`]);
    });

    it('accepts a connection and says nothing, within the timeout', async () => {
      const url = await urlOf(createSocketServer(() => {}));
      const [code, said] = await checkNode(url, '--timeout', '0.5');
      assert.deepEqual(
        [code, /^POSTERN CRITICAL: \S+ is not answered (in time|within 0\.5 s)\n$/.test(said)],
        [2, true],
        said,
      );
    });

    it('sends one byte now and then, so that no read times out', async () => {
      const url = await answering((_request, response) => {
        response.writeHead(200);
        const timer = setInterval(() => response.write('x'), 50);
        response.once('close', () => clearInterval(timer));
      });
      assert.deepEqual(await checkNode(url, '--timeout', '0.5'), [
        2,
        `POSTERN CRITICAL: ${url} is not answered within 0.5 s\n`,
      ]);
    });

    it('breaks the connection', async () => {
      const url = await urlOf(createSocketServer((socket) => socket.once('data', () => socket.resetAndDestroy())));
      const [code, said] = await checkNode(url);
      assert.deepEqual([code, said], [2, `POSTERN CRITICAL: ${url} cannot be reached: Connection reset by peer\n`]);
    });
  });

  describe('says UNKNOWN, in one line with what to do, when the answer', () => {
    const html = '<!DOCTYPE html>\n<title>Sign in | Example</title>';
    for (const [what, says, listener] of [
      [
        'is a page of something else',
        /\/-\/ready is not answered by Postern \(status 200\); name the/,
        (_request, response) => response.end(html),
      ],
      [
        'is a redirect',
        /\/-\/ready is not answered by Postern \(status 302\); name the/,
        (_request, response) => response.writeHead(302, { location: '/' }).end(),
      ],
      [
        'to /metrics is that of another program',
        /\/metrics is not answered by Postern \(status 200\); name the/,
        (request, response) => response.end(request.url === '/metrics' ? 'node_load1 0.5\n' : 'ready\n'),
      ],
      [
        'has 20 MB',
        /\/metrics sends more than 16 MB; name the/,
        (request, response) =>
          response.end(request.url === '/metrics' ? Buffer.alloc(20 << 20, 'postern_x 1\n') : 'ready\n'),
      ],
      [
        'refuses the name',
        /the node does not know this name; add it to operators\.host_names/,
        (request, response) => response.writeHead(request.url === '/metrics' ? 421 : 200).end('ready\n'),
      ],
    ] satisfies (readonly [string, RegExp, RequestListener])[]) {
      it(what, async () => {
        const [code, said] = await checkNode(await answering(listener));
        assert.equal(code, 3, said);
        assert.match(said, says);
        assert.match(said, /^POSTERN UNKNOWN: [^\n|]*\n$/);
      });
    }

    it('is that of a mail server', async () => {
      const url = await urlOf(createSocketServer((socket) => socket.write('220 mail.example.org ESMTP\r\n')));
      const [code, said] = await checkNode(url);
      assert.deepEqual([code, said.includes('is not answered in HTTP (BadStatusLine)')], [3, true], said);
    });

    it('has header lines without end', async () => {
      const url = await urlOf(
        createSocketServer((socket) => {
          socket.on('error', () => socket.destroy());
          socket.write(`HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(5_000)}`);
        }),
      );
      const [code, said] = await checkNode(url);
      assert.deepEqual([code, said.includes('is not answered in HTTP')], [3, true], said);
    });
  });

  describe('with wrong options', () => {
    for (const [args, says] of [
      [['--url', 'gw1'], 'gw1 is not a URL such as http://127.0.0.1:9090'],
      [['--url', 'http://gw1:x'], 'http://gw1:x is not a URL such as http://127.0.0.1:9090'],
      [['--url', 'https://gw1', '--ca', '/no/such'], '--ca /no/such cannot be read: No such file or directory'],
      [['--timeout', '0'], 'argument -t/--timeout: 0: write seconds, from 0.1 to 3600'],
      [['-w', 'sessions=20:10'], 'argument -w/--warning: sessions=20:10: 20:10 is not a range such as 5, 21: or 1:10'],
      [['--bogus'], 'unrecognized arguments: --bogus'],
    ] as const) {
      it(`${args.join(' ')} says UNKNOWN and what is wrong`, () => {
        const { status, stdout } = runCheck(...args);
        assert.deepEqual([status, stdout], [3, `POSTERN UNKNOWN: ${says}\n`]);
      });
    }

    it('names the values when a threshold is for none', () => {
      assert.match(runCheck('-c', 'session=3').stdout, /write NAME=RANGE with one of ready, draining, store_up, /);
    });
  });

  it('tells its version, and its options with every value, and takes a host and a port for a URL', async () => {
    const version = runCheck('-V');
    assert.deepEqual([version.status, /^check_postern \d+\.\d+\n$/.test(version.stdout)], [0, true], version.stdout);
    assert.match(runCheck('-h').stdout, /--timeout SECONDS[^]*backends_down .*critical 0/);
    const { hostname, port } = new URL(await showing('postern_sessions{backend="a"} 15'));
    const [code, said] = await checkWith('-H', hostname, '-p', port, '-w', 'sessions=10');
    assert.deepEqual([code, /sessions=15;10( |$)/.test(said)], [1, true], said);
    assert.equal(runCheck('-H', 'gw1', '-p', 'x').status, 3);
    const both = runCheck('-H', '127.0.0.1:9090');
    const remedy = 'write the host alone, and its port as --port';
    assert.deepEqual([both.status, both.stdout], [3, `POSTERN UNKNOWN: --hostname 127.0.0.1:9090: ${remedy}\n`]);
  });

  it('takes thresholds as the guidelines write them', async () => {
    const url = await showing('postern_sessions{backend="a"} 15');
    for (const [range, code] of [
      ['20', 0],
      ['10', 1],
      ['10:', 0],
      ['16:', 1],
      ['~:14', 1],
      ['@10:20', 1],
      ['@1:5', 0],
      ['', 0],
    ] as const) {
      assert.equal((await checkNode(url, '-w', `sessions=${range}`))[0], code, range);
    }
    assert.match((await checkNode(url, '-w', 'sessions=16:', '-c', 'sessions=5:'))[1], / sessions=15;16:;5:/);
  });

  it('says what is worst first, names what it is about, and keeps performance data apart', async () => {
    const url = await showing(`
postern_backend_state{backend="a|b",state="DOWN"} 1
postern_backend_state{backend="c",state="READY"} 1
postern_host_up{backend="c",host="c/2",service="imap"} 0
postern_certificate_expiry_timestamp_seconds{file="x",name="mail.example.org"} ${daysFromNow(10.5)}
postern_store_up 1`);
    const [code, said] = await checkNode(url);
    assert.equal(code, 2);
    assert.match(
      said,
      /^POSTERN CRITICAL: backend a b down; host c\/2 down; certificate mail\.example\.org expires in 10 days \| ready=1;;1: .*backends_down=1;;0 .*certificate_days=10;21:;7: /,
    );
  });

  it('warns of a drain, and calls a node that is not ready for another reason CRITICAL', async () => {
    const drained = await showing('postern_node_state{state="drain"} 1', 'not ready\n', 503);
    assert.match(
      (await checkNode(drained))[1],
      /^POSTERN WARNING: taken out of load balancing \| ready=1;;1: draining=1;0 /,
    );
    const broken = await showing('postern_node_state{state="down"} 1', 'not ready\n', 503);
    assert.match((await checkNode(broken))[1], /^POSTERN CRITICAL: not ready \| ready=0;;1: /);
  });

  it('refuses a threshold for what the node does not show', async () => {
    const [code, said] = await checkNode(await showing('postern_store_up 1'), '-c', 'certificate_days=30:');
    assert.deepEqual(
      [code, said],
      [3, 'POSTERN UNKNOWN: the node does not show certificate_days, for which there is a threshold\n'],
    );
  });

  it('ends with UNKNOWN when its line cannot be written', () => {
    const command = `${fileURLToPath(new URL('../../deploy/nagios/check_postern', import.meta.url))} > /dev/full`;
    assert.equal(spawnSync('sh', ['-c', command]).status, 3);
  });
});

function runCheck(...args: readonly string[]) {
  const file = fileURLToPath(new URL('../../deploy/nagios/check_postern', import.meta.url));
  return spawnSync('python3', [file, ...args], { encoding: 'utf8' });
}
