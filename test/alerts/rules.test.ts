import assert from 'node:assert/strict';
import { rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fieldsIn } from '../demo/browser.fixture.ts';
import { eventually } from '../eventually.fixture.ts';
import { runProgram } from '../programs.ts';
import { type AlertSite, startAlertSite } from './alert-site.fixture.ts';
import { checkNode } from './check-postern.fixture.ts';
import {
  always,
  answering,
  atNode,
  backendDown,
  everywhere,
  type Fault,
  lag,
  liveThrough,
  nodes,
  ofNode,
  scrapeWhen,
  starve,
  together,
  usually,
  valueIn,
} from './faults.fixture.ts';
import { alertRules, judge, rulesFile } from './scrapes.fixture.ts';

let site: AlertSite;
before(async () => (site = await startAlertSite()));
after(() => site?.[Symbol.asyncDispose]());

const fired = new Set<string>();

async function livesThrough(name: string, fault: Fault): Promise<void> {
  await liveThrough(site, name, fault);
  for (const { alert } of fault.fires) fired.add(alert);
}

describe('the alerts', () => {
  it('are rules that promtool accepts', async () => {
    assert.match(await runProgram('promtool', ['check', 'rules', rulesFile]), /SUCCESS: \d+ rules found/);
  });

  it('do not fire while people work, and check_postern finds nothing', async () => {
    await scrapeWhen(site, everywhere('postern_host_up', 1), 'both nodes find everything up');
    const first = await site.scrape();
    await site.usualTraffic();
    const second = await site.scrape();
    await site.usualTraffic();
    await judge([{ name: 'quiet', quiet: [first, second], fault: [second, await site.scrape()], fires: [] }]);
    const [code, said] = await checkNode(site.operators.gw1);
    assert.match(said, /^POSTERN OK: ready, 4 of 4 backends ready \| ready=1;;1: /);
    assert.equal(code, 0);
  });

  it('fire when Redis hangs', () =>
    livesThrough('Redis hangs', {
      inject: () => site.redis.freeze(),
      shows: everywhere('postern_store_up', 0),
      heal: () => site.redis.thaw(),
      isOver: everywhere('postern_store_up', 1),
      fires: nodes.map((node) =>
        ofNode('PosternStoreDown', node, `The session store does not answer node ${node}, or refuses commands.`),
      ),
      check: { code: 2, says: /^POSTERN CRITICAL: the session store does not answer/ },
    }));

  it('fire when the Redis of states is gone', () =>
    livesThrough('the Redis of states is gone', {
      inject: () => site.stateRedis.kill(),
      shows: everywhere('postern_state_store_up', 0),
      heal: () => site.stateRedis.restart(),
      isOver: everywhere('postern_state_store_up', 1),
      fires: nodes.map((node) =>
        ofNode('PosternStateStoreDown', node, `The state store does not answer node ${node}.`),
      ),
    }));

  it('fire when Redis does not take the ends of sessions', async () => {
    const { browser } = await site.signIn('alice');
    const allow = (rule: string) =>
      runProgram('redis-cli', ['-p', String(site.redis.port), 'acl', 'setuser', 'default', rule]);
    await livesThrough('Redis takes no end', {
      async inject() {
        await allow('-del');
        await browser.submit('/-/logout', fieldsIn(await browser.text('/-/logout')));
      },
      shows: (scrape) =>
        atNode('gw1', 'postern_sessions_ends_pending', 1)(scrape) && atNode('gw1', 'postern_store_up', 1)(scrape),
      heal: () => allow('+del'),
      isOver: atNode('gw1', 'postern_sessions_ends_pending', 0),
      fires: [
        ofNode('PosternSessionEndsPending', 'gw1', 'The session store has not taken 1 ended sessions of node gw1.'),
      ],
      check: { says: /1 ended sessions not stored/ },
    });
  });

  it('fire when a backend is killed', () =>
    livesThrough('a backend is killed', {
      inject: () => site.machines.a.close(),
      shows: everywhere('postern_backend_state', 1, { backend: 'a', state: 'DOWN' }),
      heal: () => site.machines.a.open(),
      isOver: everywhere('postern_backend_state', 0, { backend: 'a', state: 'DOWN' }),
      fires: [backendDown('a')],
      check: { code: 2, says: /^POSTERN CRITICAL: backend a down[ ;]/ },
    }));

  it('fire when a backend hangs', () =>
    livesThrough('a backend hangs', {
      inject: () => process.kill(site.hungPid, 'SIGSTOP'),
      shows: everywhere('postern_backend_state', 1, { backend: 'hung', state: 'DOWN' }),
      heal: () => process.kill(site.hungPid, 'SIGCONT'),
      isOver: everywhere('postern_backend_state', 0, { backend: 'hung', state: 'DOWN' }),
      fires: [backendDown('hung')],
    }));

  it('fire when a standby takes over', () =>
    livesThrough('a standby takes over', {
      inject: () => site.machines.b1.close(),
      shows: (scrape) =>
        everywhere('postern_active_host', 1, { host: 'b/2' })(scrape) &&
        everywhere('postern_host_up', 0, { host: 'b', service: 'webmail' })(scrape),
      async heal() {
        await site.machines.b1.open();
        await eventually(async () =>
          everywhere('postern_host_up', 1, { host: 'b', service: 'webmail' })(await site.scrape()),
        );
        const { status } = await site.api('PUT', '/backends/b/active', { host: 'b', reason: 'repaired' });
        assert.equal(status, 200);
      },
      isOver: everywhere('postern_host_up', 1, { backend: 'b' }),
      fires: [
        {
          alert: 'PosternHostDown',
          labels: { backend: 'b', host: 'b', service: 'webmail' },
          summary: 'The webmail of host b of backend b is down.',
        },
        { alert: 'PosternFailover', labels: { backend: 'b' }, summary: 'A standby of backend b took over.' },
      ],
      check: { code: 1, says: /^POSTERN WARNING: host b down[ ;]/ },
    }));

  it('fire when one node alone cannot reach a host', () =>
    livesThrough('a node cannot reach a host', {
      inject: () => site.second.disturb({ port: site.machines.a.port }),
      shows: atNode('gw2', 'postern_host_up', 0, { host: 'a', service: 'webmail' }),
      heal: () => site.second.disturb({}),
      isOver: everywhere('postern_host_up', 1, { host: 'a' }),
      fires: [
        {
          alert: 'PosternHostUnreachable',
          labels: { instance: 'gw2', job: 'postern', backend: 'a', host: 'a', service: 'webmail' },
          summary: 'Node gw2 finds the webmail of host a down, other nodes do not.',
        },
      ],
    }));

  it('fire when a worker is dead and its successor does not start', async () => {
    const { second } = site;
    const before = second.workers();
    const successors = () => second.workers().filter((pid) => !before.includes(pid));
    await livesThrough('a worker is missing', {
      async inject() {
        process.kill(before[0] ?? 0, 'SIGKILL');
        await eventually(() => successors().length > 0, 'there is a successor');
        successors().forEach((pid) => process.kill(pid, 'SIGSTOP'));
      },
      shows: atNode('gw2', 'postern_workers', 1, { state: 'serving' }),
      heal: () => successors().forEach((pid) => process.kill(pid, 'SIGCONT')),
      isOver: atNode('gw2', 'postern_workers', 2, { state: 'serving' }),
      fires: [ofNode('PosternWorkersMissing', 'gw2', 'Node gw2 lacks 1 of its workers.')],
    });
  });

  for (const [what, until, alert, summary] of [
    [
      'longer than was said',
      () => new Date(Date.now() + 500).toISOString(),
      'PosternMaintenanceOverdue',
      'Backend b is in MAINT for longer than was said.',
    ],
    [
      'a day, without an end',
      () => undefined,
      'PosternMaintenanceForgotten',
      'Backend b has been in MAINT for a day, and nobody said until when.',
    ],
  ] as const) {
    it(`fire when a backend is in MAINT for ${what}`, () =>
      livesThrough(`MAINT for ${what}`, {
        async inject() {
          const set = { state: 'MAINT', reason: 'new disks', until: until() };
          assert.equal((await site.api('PUT', '/backends/b/state', set)).status, 200);
        },
        shows: everywhere('postern_backend_state', 1, { backend: 'b', state: 'MAINT' }),
        heal: () => site.api('PUT', '/backends/b/state', { state: 'READY', reason: 'done' }),
        isOver: everywhere('postern_backend_state', 1, { backend: 'b', state: 'READY' }),
        minutes: 25 * 60,
        fires: [{ alert, labels: { backend: 'b' }, summary }],
      }));
  }

  it('fire when a move hangs in its program', async () => {
    const carrying = join(site.folder, 'carrying');
    let moved: ReturnType<typeof site.api> | undefined;
    await livesThrough('a move hangs', {
      async inject() {
        await writeFile(carrying, '');
        moved = site.api('POST', '/users/user39/move', { to: 'small', reason: 'a is full' });
      },
      shows: everywhere('postern_moves', 1, { phase: 'before' }),
      async heal() {
        await rm(carrying);
        assert.equal((await moved)?.status, 200);
      },
      isOver: everywhere('postern_moves', 0, { phase: 'before' }),
      fires: [
        {
          alert: 'PosternMoveStuck',
          labels: { phase: 'before' },
          summary: 'A move of a user has been under way (before) for 1h 30m 0s.',
        },
      ],
    });
  });

  it('fire when requests fail, although the checks are good', async () => {
    const { browser } = await site.signIn('alice');
    await livesThrough('requests fail', {
      inject() {
        site.machines.a.answer = (request, response) =>
          response.writeHead(request.url?.startsWith('/broken') === true ? 500 : 200).end();
      },
      shows: always,
      traffic: () => together(12, () => browser.open('/broken')),
      heal: () => usually(site.machines.a),
      fires: [
        {
          alert: 'PosternRequestsFailing',
          labels: { backend: 'a' },
          summary: '100% of the requests to backend a fail.',
        },
      ],
    });
  });

  it('fire when requests take seconds', async () => {
    const people = await Promise.all(['alice', 'user1'].map(async (user) => (await site.signIn(user)).browser));
    await livesThrough('requests take seconds', {
      inject() {
        site.machines.a.answer = (request, response) =>
          void setTimeout(() => response.end(), request.url?.startsWith('/slow') === true ? 2_500 : 0);
      },
      shows: always,
      traffic: () => Promise.all(people.map((browser) => together(3, () => browser.open('/slow')))),
      heal: () => usually(site.machines.a),
      fires: [
        {
          alert: 'PosternRequestsSlow',
          labels: { backend: 'a' },
          summary: 'Backend a answers slowly: one of twenty requests waits for more than two seconds.',
        },
      ],
    });
  });

  it('fire when the queue of a backend is full', async () => {
    const { browser } = await site.signIn('dave');
    const held: (() => void)[] = [];
    await livesThrough('a queue is full', {
      inject() {
        site.machines.small.answer = (request, response) => {
          if (request.url === '/held') held.push(() => response.end());
          else response.end();
        };
      },
      shows: always,
      async traffic() {
        const asked = together(4, () => browser.open('/held'));
        const refused = async () =>
          (valueIn(await site.scrape(), 'postern_backend_refusals_total', { backend: 'small' }) ?? 0) > 0;
        await eventually(refused);
        usually(site.machines.small);
        for (const release of held) release();
        await asked;
      },
      heal: () => usually(site.machines.small),
      fires: [
        {
          alert: 'PosternQueueFull',
          labels: { backend: 'small' },
          summary: 'Backend small gets more requests than it answers: some are refused.',
        },
      ],
    });
  });

  it('fire when sign-ins fail, because the directory does not answer', () =>
    livesThrough('sign-ins fail', {
      inject() {
        site.machines.directory.answer = (_request, response) => response.writeHead(503).end();
      },
      shows: always,
      traffic: () => together(8, (index) => site.signIn(`user${10 + index}`)),
      heal: () => answering(site.machines.directory, 'a'),
      fires: [
        {
          alert: 'PosternSignInsFailing',
          labels: {},
          summary: '100% of the sign-ins without a known backend fail, although the password may be right.',
        },
      ],
    }));

  it('fire when the directory goes on with old answers', async () => {
    await site.signIn('user2');
    await livesThrough('the directory does not answer', {
      inject() {
        site.machines.directory.answer = (_request, response) => response.writeHead(503).end();
      },
      shows: always,
      traffic: () => site.signIn('user2'),
      heal: () => answering(site.machines.directory, 'a'),
      fires: [
        {
          alert: 'PosternDirectoryStale',
          labels: { source: '2 http' },
          summary: 'Source 2 http of the directory does not answer: old answers are in use.',
        },
      ],
    });
  });

  it('fire when the log has an error', () =>
    livesThrough('the directory names an unknown backend', {
      async inject() {
        answering(site.machines.directory, 'nowhere');
        await site.signIn('user3');
      },
      shows: (scrape) => (valueIn(scrape, 'postern_alarms_last_hour', { code: 'defect', instance: 'gw1' }) ?? 0) > 0,
      traffic: () => site.signIn('user4'),
      heal: () => answering(site.machines.directory, 'a'),
      fires: [
        {
          alert: 'PosternAlarm',
          labels: { instance: 'gw1', code: 'defect' },
          summary: 'Node gw1 logged an error with the code defect.',
        },
      ],
      check: { code: 1, says: /^POSTERN WARNING: errors in the last hour: .*defect \d+ \|/ },
    }));

  it('fire when passwords are guessed', () =>
    livesThrough('passwords are guessed', {
      inject: () => {},
      shows: always,
      async traffic() {
        for (const typed of ['guess', 'another'])
          await together(10, (index) => site.signIn(`user${20 + index}`, typed));
      },
      heal: () => {},
      fires: [
        {
          alert: 'PosternPenaltiesRising',
          labels: {},
          summary: 'Passwords are being guessed: 100 sign-ins had to wait in ten minutes.',
        },
      ],
    }));

  it('fire when the audit cannot be written', async () => {
    const file = join(site.folder, 'gw1.audit');
    await livesThrough('the disk of the audit is full', {
      async inject() {
        await site.api('PUT', '/backends/a/state', { state: 'READY', reason: 'a line' });
        await rename(file, `${file}.1`);
        await symlink('/dev/full', file);
        await site.api('PUT', '/backends/a/state', { state: 'READY', reason: 'another line' });
      },
      shows: atNode('gw1', 'postern_audit_writable', 0),
      async heal() {
        await rm(file);
        await rename(`${file}.1`, file);
        await site.api('PUT', '/backends/a/state', { state: 'READY', reason: 'a third line' });
      },
      isOver: atNode('gw1', 'postern_audit_writable', 1),
      fires: [ofNode('PosternAuditUnwritable', 'gw1', 'Node gw1 cannot write its audit.')],
      check: { code: 2, says: /^POSTERN CRITICAL: the audit cannot be written/ },
    });
  });

  for (const [days, alert, code] of [
    [10, 'PosternCertificateExpiresSoon', 1],
    [2, 'PosternCertificateExpires', 2],
  ] as const) {
    it(`fire when a certificate expires in ${days} days`, () =>
      livesThrough(`a certificate expires in ${days} days`, {
        async inject() {
          await site.second.certify(days + 0.5);
          await site.second.reload();
        },
        shows: (scrape) =>
          (valueIn(scrape, 'postern_certificate_expiry_timestamp_seconds', {}) ?? Infinity) < 21 * 86_400,
        async heal() {
          await site.second.certify(29);
          await site.second.reload();
        },
        fires: [
          {
            alert,
            labels: { instance: 'gw2', name: 'mail.example.test' },
            summary: `The certificate mail.example.test of node gw2 expires in ${days} days.`,
          },
        ],
        check: { of: 'gw2', code, says: new RegExp(`certificate mail\\.example\\.test expires in ${days} days[ ;]`) },
      }));
  }

  it('fire when a reload is refused', () =>
    livesThrough('a reload is refused', {
      async inject() {
        await site.configure('driver: none', 'driver: nun');
        assert.equal(await site.gateway.reload(), false);
      },
      shows: atNode('gw1', 'postern_config_last_reload_successful', 0),
      async heal() {
        await site.configure();
        assert.equal(await site.gateway.reload(), true);
      },
      isOver: atNode('gw1', 'postern_config_last_reload_successful', 1),
      fires: [ofNode('PosternReloadRefused', 'gw1', 'Node gw1 refused the new configuration and keeps the old one.')],
      check: { code: 1, says: /^POSTERN WARNING: the last reload was refused/ },
    }));

  it('fire when nodes run different configurations', () =>
    livesThrough('configurations differ', {
      async inject() {
        await site.configure('refusal_after: 0s', 'refusal_after: 10ms');
        assert.equal(await site.gateway.reload(), true);
      },
      shows: always,
      async heal() {
        await site.configure();
        await site.gateway.reload();
      },
      fires: [
        { alert: 'PosternNodesDiffer', labels: {}, summary: 'Nodes run 2 different configurations or versions.' },
      ],
    }));

  it('fire when the clock of a node is wrong', () =>
    livesThrough('a clock is wrong', {
      inject: () => site.second.disturb({ clockMs: -30_000 }),
      shows: (scrape) => Math.abs(valueIn(scrape, 'postern_clock_offset_seconds', { instance: 'gw2' }) ?? 0) > 29,
      heal: () => site.second.disturb({}),
      isOver: (scrape) => Math.abs(valueIn(scrape, 'postern_clock_offset_seconds', { instance: 'gw2' }) ?? 30) < 1,
      fires: [ofNode('PosternClockOff', 'gw2', 'The clocks of node gw2 and of Redis are 30 s apart.')],
      check: { of: 'gw2', code: 2, says: /clocks of node and Redis (30\.0|29\.9) s apart/ },
    }));

  it('fire when a node has too little CPU', () =>
    livesThrough('a node has too little CPU', {
      inject: () => starve(site),
      shows: (scrape) => (valueIn(scrape, lag, { instance: 'gw2' }) ?? 0) > 0.3,
      traffic: () => starve(site),
      heal: () => {},
      fires: [ofNode('PosternNodeOverloaded', 'gw2', 'Node gw2 has too little CPU: its event loop is late.')],
    }));

  it('fire when a node is out of load balancing for long', () =>
    livesThrough('a node drains', {
      inject: () => site.gateway.takeOut(true),
      shows: atNode('gw1', 'postern_node_state', 1, { state: 'drain' }),
      heal: () => site.gateway.takeOut(false),
      fires: [ofNode('PosternNodeDraining', 'gw1', 'Node gw1 has been taken out of load balancing for an hour.')],
      check: { code: 1, says: /^POSTERN WARNING: taken out of load balancing/ },
    }));

  it('fire when a node is dead', () =>
    livesThrough('a node is dead', {
      async inject() {
        site.second.process.kill('SIGKILL');
        await pause(1);
      },
      shows: atNode('gw2', 'up', 0),
      heal: () => {},
      fires: [ofNode('PosternNodeDown', 'gw2', 'Node gw2 does not answer Prometheus.')],
      check: { of: 'gw2', code: 2, says: /cannot be reached: Connection refused/ },
    }));

  it('fire for every rule', () => {
    assert.deepEqual(
      alertRules.map(({ alert }) => alert).filter((alert) => !fired.has(alert)),
      [],
    );
  });
});
