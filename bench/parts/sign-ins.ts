import { Agent } from 'node:http';
import { join } from 'node:path';
import { freePort } from '../../test/ports.fixture.ts';
import { cpuMicros } from '../cpu.ts';
import { dovecotPassword, startDovecot } from '../dovecot.ts';
import { startGatewayNode } from '../gateway.ts';
import { significant } from '../report.ts';
import { seriesOf } from '../statistics.ts';
import { openSignInForm } from '../visitor.ts';
import type { Part } from './part.ts';

const atOnce = 8;
const perRound = 200;

interface Run {
  readonly cpuMillis: number;
  readonly perSecond: number;
}

/** Measures many sign-ins: the gateway's cost on top of the IMAP logins. */
export const signIns: Part = async ({ stage, effort }) => {
  const agent = new Agent({ keepAlive: true });
  const dovecot = stage.keep(await startDovecot(stage.folder, stage.tls.keyAndCertificateFile));
  const port = await freePort();
  const node = stage.keep(
    await startGatewayNode({
      folder: join(stage.folder, 'sign-ins'),
      port,
      redisUrl: stage.redis.url.replace(/0$/, '13'),
      home: 'd',
      backends: [
        `d: { imap: "imaps://127.0.0.1:${dovecot.port}", webmail: "http://127.0.0.1:${stage.backend.port}/", driver: none, tls_ca_file: "${stage.tls.certificateFile}" }`,
      ],
    }),
  );
  const bare = await stage.startPeer('imap-logins.ts', [
    String(dovecot.port),
    dovecotPassword,
    stage.tls.certificateFile,
  ]);
  const atGateway = await openSignInForm(`http://127.0.0.1:${port}`, agent);
  let users = 0;
  const worker = async (until: number): Promise<void> => {
    while (users < until) await atGateway(`user${(users += 1)}@bench.test`, dovecotPassword);
  };
  const contestants = {
    Postern: {
      pids: [node.pid, stage.redis.pid],
      async run() {
        const until = users + perRound;
        await Promise.all(Array.from({ length: atOnce }, () => worker(until)));
      },
    },
    'bare imapflow logins': {
      pids: [bare.pid],
      async run() {
        const answer = await fetch(`http://127.0.0.1:${bare.port}/${perRound}/${atOnce}`);
        if (!answer.ok) throw new Error(await answer.text());
      },
    },
  };
  const runs = new Map<string, Run[]>(Object.keys(contestants).map((name) => [name, []]));
  for (let round = -effort.warmUps; round < effort.rounds; round += 1) {
    for (const [name, { pids, ...contestant }] of Object.entries(contestants)) {
      const [before, startedMs] = [cpuMicros(pids), performance.now()];
      await contestant.run();
      const perSecond = (perRound * 1000) / (performance.now() - startedMs);
      if (round >= 0) runs.get(name)?.push({ cpuMillis: (cpuMicros(pids) - before) / perRound / 1000, perSecond });
    }
  }
  agent.destroy();
  const cpu = (name: keyof typeof contestants) => seriesOf((runs.get(name) ?? []).map(({ cpuMillis }) => cpuMillis));
  const speed = (name: string) => -seriesOf((runs.get(name) ?? []).map(({ perSecond }) => -perSecond)).best;
  const [ours, theirs] = [cpu('Postern'), cpu('bare imapflow logins')];
  const rows = Object.entries({ Postern: ours, 'bare imapflow logins': theirs }).map(([name, { best, median }]) => [
    name,
    significant(best),
    significant(median),
    significant(speed(name)),
  ]);
  return [
    {
      title: 'Many sign-ins, Dovecot and no webmail',
      about: `${atOnce} at once, each user for the first time; TLS to a Dovecot that takes every name. Redis is counted.`,
      table: { head: ['what', 'CPU ms per sign-in, best', 'median', 'per second, best'], rows },
      targets: [
        {
          what: 'Many sign-ins: CPU per sign-in, to a bare imapflow login',
          limit: 1.2,
          measured: ours.best / theirs.best,
          besides: `medians ${significant(ours.median / theirs.median)}`,
        },
      ],
    },
  ];
};
