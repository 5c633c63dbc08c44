import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLog } from '../../src/core/log.ts';
import { createAddresses } from '../../src/directory-service/addresses.ts';
import { handClock } from '../backends/samples.fixture.ts';

function scene() {
  const clock = handClock();
  const dns = { address: '192.0.2.1', asked: 0, isAway: false };
  const addresses = createAddresses({
    async resolve() {
      dns.asked += 1;
      if (dns.isAway) throw new Error('SERVFAIL');
      return dns.address;
    },
    clock,
    log: silentLog,
  });
  return { clock, dns, addresses, settle: () => new Promise((resolve) => setImmediate(resolve)) };
}

describe('the address of a mail server', () => {
  it('is itself where the configuration names an address', async () => {
    const { addresses, dns } = scene();
    assert.deepEqual(
      [await addresses.of('192.0.2.9'), await addresses.of('2001:db8::1')],
      ['192.0.2.9', '2001:db8::1'],
    );
    assert.equal(dns.asked, 0);
  });

  it('is asked for once, and again after half a minute without keeping anybody waiting', async () => {
    const { addresses, dns, clock, settle } = scene();
    await Promise.all([addresses.of('mx.test'), addresses.of('mx.test')]);
    dns.address = '192.0.2.2';
    clock.advance(29_999);
    assert.equal(await addresses.of('mx.test'), '192.0.2.1');
    assert.equal(dns.asked, 1);
    clock.advance(1);
    assert.equal(await addresses.of('mx.test'), '192.0.2.1');
    await settle();
    assert.equal(await addresses.of('mx.test'), '192.0.2.2');
    assert.equal(dns.asked, 2);
  });

  it('is not taken from long ago while the resolver answers', async () => {
    const { addresses, dns, clock } = scene();
    await addresses.of('mx.test');
    dns.address = '192.0.2.2';
    clock.advance(300_000);
    assert.equal(await addresses.of('mx.test'), '192.0.2.2');
  });

  it('stands while the resolver is away, however long', async () => {
    const { addresses, dns, clock } = scene();
    await addresses.of('mx.test');
    dns.isAway = true;
    clock.advance(3_600_000);
    assert.equal(await addresses.of('mx.test'), '192.0.2.1');
  });

  it('is a tempfail where it was never known', async () => {
    const { addresses, dns } = scene();
    dns.isAway = true;
    await assert.rejects(addresses.of('mx.test'), { code: 'ERR_DIRECTORY_UNAVAILABLE' });
  });
});
