import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { FrameBoundary } from '../../src/proxy/upgrade-tunnel.ts';

/** A frame as RFC 6455, 5.2 has it. */
function frame(payload: number, masked: boolean): Buffer {
  const length = payload < 126 ? payload : payload < 65_536 ? 126 : 127;
  const head = [Buffer.from([0x82, length | (masked ? 0x80 : 0)])];
  if (length === 126) head.push(Buffer.from([payload >> 8, payload & 255]));
  if (length === 127) {
    const long = Buffer.alloc(8);
    long.writeBigUInt64BE(BigInt(payload));
    head.push(long);
  }
  return Buffer.concat([...head, Buffer.alloc(masked ? 4 : 0), Buffer.alloc(payload, 0xff)]);
}

test('the boundary is reached behind each whole frame, and nowhere else, however the bytes are cut', () => {
  const payload = fc.oneof(fc.integer({ min: 0, max: 130 }), fc.constantFrom(0, 125, 126, 127, 65_535, 65_536, 70_000));
  const frames = fc.array(fc.tuple(payload, fc.boolean()), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1 }), (made, cuts) => {
      const bytes = Buffer.concat(made.map(([size, masked]) => frame(size, masked)));
      let end = 0;
      const ends = new Set([0, ...made.map(([size, masked]) => (end += frame(size, masked).length))]);
      const boundary = new FrameBoundary();
      for (let at = 0, i = 0; at < bytes.length; i += 1) {
        const next = Math.min(at + (cuts[i % cuts.length] ?? 1), bytes.length);
        boundary.pass(bytes.subarray(at, next));
        at = next;
        assert.equal(boundary.reached, ends.has(at));
      }
      assert.ok(boundary.reached);
    }),
  );
});
