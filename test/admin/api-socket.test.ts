import assert from 'node:assert/strict';
import { chmodSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { openApiSocket, type SocketAccess } from '../../src/admin/listeners.ts';
import { groupNumber } from '../../src/admin/system-groups.ts';
import { postern } from '../cli/cli.fixture.ts';
import { filesOf, smallest } from '../config/config.fixture.ts';

/** A folder with programs that stand where those of the machine would. */
function programs(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = filesOf(t, files);
  for (const name of Object.keys(files)) chmodSync(join(folder, name), 0o755);
  return folder;
}

/** Opens a socket and tells its group and mode. */
async function opened(t: TestContext, access: SocketAccess): Promise<readonly [gid: number, mode: string]> {
  const file = join(filesOf(t, {}), 'api.sock');
  await using _ = await openApiSocket(file, access, async () => {});
  const { gid, mode } = statSync(file);
  return [gid, (mode & 0o777).toString(8)];
}

describe("the operators' socket", () => {
  it('is its owner’s alone, unless a group is named: then by name or by number that of the group', async (t) => {
    assert.deepEqual(await opened(t, { mode: 0o600 }), [process.getgid?.(), '600']);
    assert.deepEqual(await opened(t, { mode: 0o660, group: 'adm' }), [4, '660']);
    assert.deepEqual(await opened(t, { mode: 0o660, group: 12_345 }), [12_345, '660']);
  });

  it('lets nobody in before it has its group', async (t) => {
    const folder = filesOf(t, {});
    const socket = join(folder, 'api.sock');
    const seen = join(folder, 'seen');
    const path = process.env['PATH'];
    const getent = `#!/bin/sh\n/usr/bin/stat -c '%a %g' ${socket} > ${seen}\necho adm:x:4:\n`;
    process.env['PATH'] = programs(t, { getent });
    try {
      await using _ = await openApiSocket(socket, { mode: 0o660, group: 'adm' }, async () => {});
    } finally {
      process.env['PATH'] = path;
    }
    assert.equal(readFileSync(seen, 'utf8'), `600 ${process.getgid?.()}\n`);
  });

  it('is not made for a group that there is not, and nothing is left of it', async (t) => {
    const wanted = { mode: 0o660, group: 'zebras' };
    await assert.rejects(opened(t, wanted), {
      code: 'ERR_CONFIG_INVALID',
      retryable: false,
      message:
        'operators.socket_group zebras: there is no such group on this machine: create it by groupadd --system zebras, or name another',
    });
  });
});

describe('the number of a group', () => {
  it('is that of /etc/group where there is no getent', async () => {
    assert.equal(await groupNumber('adm', '/no/such/folder'), 4);
    await assert.rejects(groupNumber('zebras', '/no/such/folder'), /there is no such group on this machine/);
  });

  it('is what the directory of the machine says, whatever stands in /etc/group', async (t) => {
    assert.equal(await groupNumber('adm', programs(t, { getent: '#!/bin/sh\necho "$2:*:70004:sam"\n' })), 70_004);
  });

  for (const [what, getent, says] of [
    ['answers nothing', '#!/bin/sh\nexec /usr/bin/sleep 60\n', /getent did not answer within 2 s: look after/],
    ['fails', '#!/bin/sh\nexit 3\n', /getent failed \(3\): look after \/etc\/nsswitch\.conf, or write the number/],
  ] as const) {
    it(`is not known, which is not the same as that there is none, where getent ${what}`, async (t) => {
      await assert.rejects(groupNumber('adm', programs(t, { getent })), (error: unknown) => {
        assert.ok(error instanceof Error && 'retryable' in error);
        assert.equal(error.retryable, true);
        assert.match(error.message, says);
        return true;
      });
    });
  }
});

const configured = (t: TestContext, operators: string) =>
  filesOf(t, { 'postern.yaml': `${smallest()}\noperators: { listen: 127.0.0.1:0, ${operators} }\n` });

describe('operators.socket_group', () => {
  it('is told by check and by serve where the gateway’s user is no member, and where there is no such group', async (t) => {
    const cwd = configured(t, 'socket: api.sock, socket_access: group, socket_group: adm');
    chmodSync(cwd, 0o777);
    chmodSync(join(cwd, 'postern.yaml'), 0o644);
    const member =
      /operators\.socket_group adm: the user nobody may not give the socket to it \([^)]+\): make the user nobody a member of it, under systemd by operators-group\.conf \(docs\/operate\.md\), or name another/;
    const checked = await postern(['check', '-c', 'postern.yaml'], { cwd, user: 'nobody' });
    assert.deepEqual([checked.code, member.test(checked.out)], [1, true], checked.out + checked.err);
    const served = await postern(['serve', '-c', 'postern.yaml'], { cwd, user: 'nobody' });
    assert.deepEqual([served.code, member.test(served.err)], [2, true], served.out + served.err);

    const none = configured(t, 'socket: api.sock, socket_access: group, socket_group: zebras');
    const of = await postern(['check', '-c', 'postern.yaml'], { cwd: none });
    assert.match(of.out, /api socket +\S+ +failed .*operators\.socket_group zebras: there is no such group/);
  });

  it('wants socket_access: group beside it, and a name that can be one', async (t) => {
    for (const [operators, says] of [
      ['socket_group: adm', /operators\.socket_group: has no effect, .*: add socket_access: group, or leave it out/],
      [
        'socket_access: group, socket_group: "-x"',
        /operators\.socket_group: .*-x.* is not a name or number of a group/,
      ],
      ['socket_access: group, socket_group: 4294967295', /is not a name or number of a group: write one such as adm/],
      [
        'socket_access: group, socket_group: [adm]',
        /operators\.socket_group: a list is not a name or number of a group/,
      ],
    ] as const) {
      const { code, err } = await postern(['check', '-c', 'postern.yaml'], { cwd: configured(t, operators) });
      assert.equal(code, 2, err);
      assert.match(err, says);
    }
  });
});
