import assert from 'node:assert/strict';
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { noteSpent } from '../../src/proxy/body-streams.ts';

const mebibyte = 1024 * 1024;

/** The minor collections that were asked for while `work` ran; V8's own are not forced. */
async function forcedCollections(work: () => void): Promise<number> {
  let forced = 0;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      // The published type of an entry does not know what Node adds for collections.
      const { kind, flags }: { kind: number; flags: number } = Reflect.get(entry, 'detail');
      const isMinor = kind === constants.NODE_PERFORMANCE_GC_MINOR;
      if (isMinor && (flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) !== 0) forced += 1;
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  work();
  for (let turns = 0; turns < 10; turns += 1) await turn();
  observer.disconnect();
  return forced;
}

describe('the buffers of bodies', () => {
  it('are collected each time 32 MiB have gone by', async () => {
    const collections = await forcedCollections(() => {
      for (let noted = 0; noted < 96; noted += 1) noteSpent(mebibyte);
    });
    assert.equal(collections, 3);
  });

  it('are left to V8 until then', async () => {
    const collections = await forcedCollections(() => {
      for (let noted = 0; noted < 31; noted += 1) noteSpent(mebibyte);
    });
    assert.equal(collections, 0);
  });
});
