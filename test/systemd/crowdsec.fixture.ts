import { once } from 'node:events';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { runProgram, unpackPackages } from '../programs.ts';

const shipped = fileURLToPath(new URL('../../deploy/crowdsec/', import.meta.url));

/** An alert of CrowdSec: which scenario it is, and of which address. */
export interface Alert {
  readonly scenario: string;
  readonly source: { readonly ip: string };
}

/** A real CrowdSec, unpacked below a folder, with the parser and the scenario that are shipped, and nothing else of its own. */
export class CrowdSec {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async unpack(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    await unpackPackages(['crowdsec'], this.#folder);
    const hub = join(this.#folder, 'usr/share/crowdsec/hub');
    const own = join(this.#folder, 'own');
    await cp(join(this.#folder, 'etc/crowdsec'), own, { recursive: true });
    await cp(hub, join(own, 'hub'), { recursive: true });
    await cp(shipped, own, { recursive: true });
    // Of its hub: what takes a line apart, and what reads its time.
    for (const name of ['s00-raw/crowdsecurity/syslog-logs.yaml', 's02-enrich/crowdsecurity/dateparse-enrich.yaml']) {
      await cp(join(hub, 'parsers', name), join(own, 'parsers', name.replace('crowdsecurity/', '')));
    }
    for (const name of ['data', 'log', 'plugins']) await mkdir(join(own, name));
  }

  /** Has it read a log as lines of this type; resolves with its alerts. */
  async alertsOf(log: string, type: string): Promise<readonly Alert[]> {
    const alerts: Alert[] = [];
    // CrowdSec signs in at its own API, and sends alerts there.
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const body = await text(request);
      const isAlert = request.url?.startsWith('/v1/alerts') === true;
      if (isAlert) alerts.push(...JSON.parse(body));
      const token = { code: 200, expire: new Date(Date.now() + 3_600_000).toISOString(), token: 'a.b.c' };
      response.writeHead(isAlert ? 201 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(isAlert ? ['1'] : token));
    };
    await using api = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1');
    await once(api, 'listening');
    const own = join(this.#folder, 'own');
    const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
    await writeFile(join(own, 'local_api_credentials.yaml'), `url: ${url}\nlogin: postern\npassword: postern\n`);
    const given = await readFile(join(this.#folder, 'etc/crowdsec/config.yaml'), 'utf8');
    const config = given
      .replaceAll('/etc/crowdsec/', `${own}/`)
      .replaceAll('/var/lib/crowdsec/', `${own}/`)
      .replaceAll('/usr/lib/crowdsec/', `${own}/`)
      .replaceAll('/var/log/', `${own}/log/`)
      .replace('daemonize: true', 'daemonize: false')
      .replace('log_media: file', 'log_media: stdout')
      .replace(/^ *online_client:.*\n.*\n/m, '')
      .replace(/^prometheus:\n {2}enabled: true/m, 'prometheus:\n  enabled: false');
    await writeFile(join(own, 'config.yaml'), config);
    const args = ['-c', join(own, 'config.yaml'), '-dsn', `file://${log}`, '-type', type, '-no-api'];
    await runProgram(join(this.#folder, 'usr/bin/crowdsec'), args);
    api.closeAllConnections();
    return alerts;
  }
}
