import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brotliCompressSync, constants, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { DecodedStart } from '../../src/proxy/webmail-verdict.ts';

const limit = 8 * 1024;

/** Feeds a body bit by bit, as a relay does, until it has enough; answers what was read, and how many bytes it took. */
async function look(coding: string, body: Iterable<Buffer>) {
  const start = new DecodedStart(coding, limit);
  let fed = 0;
  for (const chunk of body) {
    if (start.over) break;
    fed += chunk.length;
    await new Promise<void>((done) => start.feed(chunk, done));
  }
  if (!start.over) await new Promise<void>((done) => start.end(done));
  const { bytes, gaveUp } = start;
  start.close();
  return { bytes, gaveUp, fed };
}

function* chunksOf(body: Buffer, size = 16 * 1024): Iterable<Buffer> {
  for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size);
}

/** A gzip head, and then stored blocks of no bytes for ever: they decode to nothing. */
function* emptyBlocks(): Iterable<Buffer> {
  yield Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
  const blocks = Buffer.alloc(16 * 1024, Buffer.from([0, 0, 0, 0xff, 0xff]));
  // One block is five bytes: 16 KiB of them end within one.
  for (;;) yield blocks.subarray(0, 16_380);
}

describe('a look inside an answer', () => {
  const page = Buffer.from(`<!doctype html>${'<p>a page</p>'.repeat(2_000)}`);
  for (const [coding, body] of [
    ['gzip', gzipSync(page)],
    ['deflate', deflateSync(page)],
    ['br', brotliCompressSync(page)],
    ['zstd', zstdCompressSync(page)],
    ['identity', page],
  ] as const) {
    it(`reads the beginning of a page in ${coding}`, async () => {
      const { bytes, gaveUp } = await look(coding, chunksOf(body));
      assert.equal(gaveUp, false);
      assert.deepEqual(bytes.subarray(0, limit), page.subarray(0, limit));
    });
  }

  it('ends where a body takes many bytes and decodes to none', async () => {
    const { bytes, gaveUp, fed } = await look('gzip', emptyBlocks());
    assert.deepEqual([bytes.length, gaveUp], [0, true]);
    assert.ok(fed <= limit + 64 * 1024 + 2 * 16 * 1024, `${fed} bytes`);
  });

  it('takes no window that is wider than the web’s', async () => {
    const big = Buffer.alloc(32 * 1024 * 1024);
    const wide = brotliCompressSync(big, {
      params: { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_QUALITY]: 1 },
    });
    assert.equal((await look('br', chunksOf(wide))).gaveUp, true);
    const long = { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_compressionLevel]: 1 };
    const before = process.memoryUsage().arrayBuffers;
    const { bytes } = await look('zstd', chunksOf(zstdCompressSync(big, { params: long })));
    assert.equal(bytes.length, 0);
    assert.ok(process.memoryUsage().arrayBuffers - before < 8 * 1024 * 1024);
  });

  it('keeps little of what decodes to very much', async () => {
    const bombs = {
      gzip: gzipSync(Buffer.alloc(64 * 1024 * 1024)),
      br: brotliCompressSync(Buffer.alloc(8 * 1024 * 1024)),
    };
    for (const [coding, bomb] of Object.entries(bombs)) {
      const before = process.memoryUsage().arrayBuffers;
      const { bytes } = await look(coding, chunksOf(bomb));
      assert.ok(bytes.length <= limit, coding);
      assert.ok(process.memoryUsage().arrayBuffers - before < 8 * 1024 * 1024, coding);
    }
  });
});
