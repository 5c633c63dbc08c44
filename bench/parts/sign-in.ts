import { Agent } from 'node:http';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import { lab, labUsers } from '../../test/lab/lab.ts';
import { freePort } from '../../test/ports.fixture.ts';
import { startGatewayNode } from '../gateway.ts';
import { type Section, significant } from '../report.ts';
import type { Effort } from '../rounds.ts';
import type { Stage } from '../stage.ts';
import { seriesOf } from '../statistics.ts';
import { openSignInForm, Visitor } from '../visitor.ts';
import type { Part } from './part.ts';

const user = labUsers.find(({ backend }) => backend === 'a') ?? { user: '', password: '' };
/** The number of uncounted sign-ins before a measurement, on both sides. */
const warmUpsPerTurn = 15;
const address = '127.0.0.11';
const portOffset = Number(process.env['LAB_PORT_OFFSET'] ?? 0);
const [imapPort, webmail] = [993 + portOffset, `http://${address}:${80 + portOffset}`];

/** Measures a whole sign-in at the gateway, and its parts done directly, with a real Dovecot and Roundcube. */
export const signIn: Part = async ({ stage, effort }) => {
  await lab('join', String(process.pid), 'a');
  const agent = new Agent({ keepAlive: true });
  try {
    return [await measure(stage, agent, effort)];
  } finally {
    agent.destroy();
    await lab('leave', String(process.pid));
  }
};

async function measure(stage: Stage, agent: Agent, { warmUps, rounds }: Effort): Promise<Section> {
  const port = await freePort();
  const caFile = join(await lab('where'), 'tls/ca.crt');
  await using _node = await startGatewayNode({
    folder: join(stage.folder, 'sign-in'),
    port,
    redisUrl: stage.redis.url.replace(/0$/, '12'),
    home: 'a',
    backends: [
      `a: { imap: "imaps://${address}:${imapPort}", webmail: "${webmail}/", driver: roundcube, tls_ca_file: "${caFile}" }`,
    ],
  });
  const atGateway = await openSignInForm(`http://127.0.0.1:${port}`, agent);
  const steps = {
    'through Postern': () => atGateway(user.user, user.password),
    'IMAP login alone': imapLogin,
    'webmail sign-in alone': () => webmailSignIn(agent),
  };
  const times = new Map<string, number[]>(Object.keys(steps).map((name) => [name, []]));
  for (let round = -warmUpsPerTurn * warmUps; round < 2 * rounds; round += 1) {
    for (const [name, step] of Object.entries(steps)) {
      const startedMs = performance.now();
      await step();
      if (round >= 0) times.get(name)?.push(performance.now() - startedMs);
    }
  }
  const series = (name: keyof typeof steps) => seriesOf(times.get(name) ?? []);
  const [whole, imap, web] = [series('through Postern'), series('IMAP login alone'), series('webmail sign-in alone')];
  const rows = Object.entries({ 'through Postern': whole, 'IMAP login alone': imap, 'webmail sign-in alone': web }).map(
    ([name, { best, median }]) => [name, significant(best), significant(median)],
  );
  return {
    title: 'One sign-in, Dovecot and Roundcube',
    about: 'From the form to the redirect into the mailbox, nobody else there.',
    table: { head: ['what', 'ms, best', 'median'], rows },
    targets: [
      {
        what: 'A sign-in, time, to the sum of IMAP login and webmail sign-in',
        limit: 1.15,
        measured: whole.best / (imap.best + web.best),
        besides: `medians ${significant(whole.median / (imap.median + web.median))}`,
      },
    ],
  };
}

async function imapLogin(): Promise<void> {
  const client = new ImapFlow({
    host: address,
    port: imapPort,
    secure: true,
    tls: { rejectUnauthorized: false },
    auth: { user: user.user, pass: user.password },
    logger: false,
    verifyOnly: true,
  });
  client.on('error', () => {});
  await client.connect();
}

async function webmailSignIn(agent: Agent): Promise<void> {
  const visitor = new Visitor(webmail, agent);
  const page = await visitor.get('/?_task=login');
  const token = /name="_token" value="([^"]+)"/.exec(page.body)?.[1] ?? '';
  const answer = await visitor.post('/?_task=login', {
    _token: token,
    _task: 'login',
    _action: 'login',
    _timezone: 'Europe/Berlin',
    _url: '',
    _user: user.user,
    _pass: user.password,
  });
  if (answer.status !== 302) throw new Error(`Roundcube refused ${user.user}: ${answer.status}`);
}
