import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { Anchor } from '../../src/audit/anchors.ts';
import { parseLine, writeLine } from '../../src/audit/line.ts';
import { verify, type VerifyOptions } from '../../src/audit/verify.ts';
import { auditIn, key, newFile, start } from './audit.fixture.ts';

const one = '1111111111111111';
const two = '2222222222222222';

/** The texts of an audit with one line for each chain in `order`, and the ends of its chains. */
function written(order: readonly string[]): { readonly texts: readonly string[]; readonly anchors: readonly Anchor[] } {
  const ends = new Map<string, Anchor>();
  const texts = order.map((chain, index) => {
    const before = ends.get(chain);
    const place = {
      chain,
      sequence: (before?.sequence ?? 0) + 1,
      timeMs: start + index,
      node: 'node-1',
      previous: before?.mac,
    };
    const facts = { reason: `she asked for it, for the ${index}th time` };
    const { text, mac } = writeLine(place, { event: 'role-used', actor: 'sam', subject: 'alice', facts }, key);
    ends.set(chain, { ...place, mac, file: 'audit.jsonl' });
    return text;
  });
  return { texts, anchors: [...ends.values()] };
}

async function* placed(texts: readonly string[]) {
  for (const [index, text] of texts.entries()) yield { file: 'audit.jsonl', number: index + 1, text };
}

const keyOf = (id: string) => (id === key.id ? key.secret : undefined);

async function verified(texts: readonly string[], anchors: readonly Anchor[], given: Partial<VerifyOptions> = {}) {
  return verify(placed(texts), { keyOf, anchors, belongsHere: () => true, olderRemoved: false, ...given });
}

/** The findings, each as `damage line-number chain sequence`. */
async function damages(...asked: Parameters<typeof verified>): Promise<readonly string[]> {
  const { findings } = await verified(...asked);
  return findings.map(({ damage, place, chain, sequence }) =>
    [damage, place?.number ?? 'nowhere', chain ?? 'none', sequence ?? '-'].join(' '),
  );
}

/** Some audit, with a place in it. */
const anAudit = fc
  .array(fc.constantFrom(one, two), { minLength: 2, maxLength: 40 })
  .chain((order) =>
    fc.record({ order: fc.constant(order), index: fc.nat(order.length - 1), other: fc.nat(order.length - 1) }),
  );

function sequenceAt(texts: readonly string[], index: number): string {
  const said = parseLine(texts[index] ?? '')?.said;
  assert.ok(said);
  return `${said.chain} ${said.sequence}`;
}

const perChain = (texts: readonly string[]) => [one, two].map((chain) => texts.filter((text) => text.includes(chain)));

const isLastOfChain = (order: readonly string[], index: number) => !order.slice(index + 1).includes(order[index] ?? '');

describe('the verifier', () => {
  it('finds nothing in an audit as it was written', () =>
    fc.assert(
      fc.asyncProperty(anAudit, async ({ order }) => {
        const { texts, anchors } = written(order);
        const { findings, lines, notes } = await verified(texts, anchors);
        assert.deepEqual({ findings, notes, lines }, { findings: [], notes: [], lines: order.length });
      }),
    ));

  it('names an edited line, whatever byte of it was changed', () =>
    fc.assert(
      fc.asyncProperty(
        anAudit,
        fc.nat(),
        fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 }),
        async (audit, at, letter) => {
          const { texts, anchors } = written(audit.order);
          const text = texts[audit.index] ?? '';
          const edited = `${text.slice(0, at % text.length)}${letter}${text.slice((at % text.length) + 1)}`;
          fc.pre(edited !== text);
          const found = await damages(texts.with(audit.index, edited), anchors);
          // A change of the key's name is reported as what it is; so is a change of the chain's name.
          const place = `${audit.index + 1} ${sequenceAt(texts, audit.index)}`;
          assert.equal(found.length, 1);
          assert.ok([`edited ${place}`, `unknown-key ${place}`].includes(found[0] ?? ''), found[0]);
        },
      ),
      { numRuns: 1000 },
    ));

  it('names the line behind deleted ones, or the last one where the end is cut off', () =>
    fc.assert(
      fc.asyncProperty(anAudit, async ({ order, index }) => {
        const { texts, anchors } = written(order);
        const left = texts.toSpliced(index, 1);
        const found = await damages(left, anchors);
        const chain = order[index] ?? one;
        const behind = order.toSpliced(index, 1).indexOf(chain, index);
        const before = order.lastIndexOf(chain, index - 1);
        const kind = isLastOfChain(order, index) ? 'truncated' : 'deleted';
        const place = kind === 'deleted' ? behind + 1 : index === 0 || before === -1 ? 'nowhere' : before + 1;
        assert.deepEqual(found, [`${kind} ${place} ${sequenceAt(texts, index)}`]);
      }),
    ));

  it('names what is cut off at the end of the file, in each chain', () =>
    fc.assert(
      fc.asyncProperty(anAudit, async ({ order, index }) => {
        const { texts, anchors } = written(order);
        const found = await verified(texts.slice(0, index), anchors);
        const cut = new Set(order.slice(index));
        assert.deepEqual(new Set(found.findings.map(({ chain }) => chain)), cut);
        for (const { damage } of found.findings) assert.equal(damage, 'truncated');
      }),
    ));

  it('names the line that stands too early when two lines of a chain were swapped', () =>
    fc.assert(
      fc.asyncProperty(anAudit, async ({ order, index, other }) => {
        const [first, second] = [Math.min(index, other), Math.max(index, other)];
        fc.pre(first !== second && order[first] === order[second]);
        const { texts, anchors } = written(order);
        const swapped = texts.with(first, texts[second] ?? '').with(second, texts[first] ?? '');
        const found = await damages(swapped, anchors);
        assert.deepEqual(found, [`reordered ${first + 1} ${sequenceAt(texts, second)}`]);
      }),
    ));

  it('names a line that somebody without the key has added, anywhere', () =>
    fc.assert(
      fc.asyncProperty(anAudit, fc.boolean(), async ({ order, index }, knowsTheForm) => {
        const { texts, anchors } = written(order);
        const genuine = parseLine(texts[index] ?? '');
        assert.ok(genuine);
        const { mac, said } = genuine;
        const forged = writeLine(
          { ...said, sequence: said.sequence + 1, previous: mac },
          { event: 'role-used', actor: 'eve' },
          { id: key.id, secret: Buffer.alloc(32) },
        );
        const text = knowsTheForm ? forged.text : 'eve was here';
        const found = await damages(texts.toSpliced(index + 1, 0, text), anchors);
        assert.deepEqual(found, [`appended ${index + 2} ${knowsTheForm ? said.chain : 'none'} -`]);
      }),
    ));

  it('names a copy of a genuine line', () =>
    fc.assert(
      fc.asyncProperty(anAudit, async ({ order, index }) => {
        const { texts, anchors } = written(order);
        const found = await damages([...texts, texts[index] ?? ''], anchors);
        assert.deepEqual(found, [`appended ${texts.length + 1} ${sequenceAt(texts, index)}`]);
      }),
    ));

  it('never takes any mixture of cuts and changes for an untouched audit', () =>
    fc.assert(
      fc.asyncProperty(
        anAudit,
        fc.array(fc.record({ at: fc.nat(39), kind: fc.nat(3), text: fc.string() }), { minLength: 1 }),
        async ({ order }, changes) => {
          const { texts, anchors } = written(order);
          const changed = [...texts];
          for (const { at, kind, text } of changes) {
            const index = at % Math.max(1, changed.length);
            if (kind === 0) changed.splice(index, 1);
            if (kind === 1) changed.splice(index, 0, text);
            if (kind === 2) changed.splice(index, 1, text);
            if (kind === 3) changed.push(...changed.splice(index, 1));
          }
          fc.pre(JSON.stringify(perChain(changed)) !== JSON.stringify(perChain(texts)));
          assert.notDeepEqual((await verified(changed, anchors)).findings, []);
        },
      ),
      { numRuns: 500 },
    ));

  it('tells a line that a crash has torn from one that somebody has cut', async () => {
    const { texts, anchors } = written([one, one, two, two]);
    const torn = await verified(
      [texts[0] ?? '', texts[1] ?? '', '{"time":"2026-03-01T08:0', texts[2] ?? '', texts[3] ?? '', '{"ti'],
      anchors,
    );
    assert.deepEqual(torn.findings, []);
    assert.equal(torn.notes.length, 2);
    assert.match(torn.notes[0] ?? '', /^audit.jsonl:3 was cut off by a crash or a full disk/);
    const cut = (texts[1] ?? '').slice(0, 80);
    assert.deepEqual(await damages(texts.with(1, cut), anchors), [`edited 2 ${one} 2`]);
  });

  it('says of lines under a key that is gone just that', async () => {
    const { texts, anchors } = written([one, one]);
    const found = await damages(texts, anchors, { keyOf: () => undefined });
    assert.deepEqual(found, [`unknown-key 1 ${one} 1`]);
  });

  it('says that a whole chain is gone', async () => {
    const { texts, anchors } = written([one, one, two]);
    assert.deepEqual(await damages(texts.slice(0, 2), anchors), [`truncated nowhere ${two} 1`]);
    assert.deepEqual(await damages([], anchors, { olderRemoved: true }), [
      `truncated nowhere ${one} 1`,
      `truncated nowhere ${two} 1`,
    ]);
  });

  it('minds no clock that was set back: the order is that of the sequence', async () => {
    const file = newFile();
    await using audit = auditIn(file);
    for (const hours of [1, -48, 24, -1]) {
      audit.passMs(hours * 3_600_000);
      await audit.record({ event: 'role-used', actor: `${hours} h` });
    }
    const { findings, lines } = await verified(readFileSync(file, 'utf8').trimEnd().split('\n'), []);
    assert.deepEqual([findings, lines], [[], 4]);
    const listed = await audit.list({}, 9);
    assert.deepEqual(
      listed.map(({ actor }) => actor),
      ['-1 h', '24 h', '-48 h', '1 h'],
    );
  });

  it('misses no chain of another machine', async () => {
    const { texts, anchors } = written([one, two]);
    assert.deepEqual(await damages(texts.slice(0, 1), anchors, { belongsHere: ({ chain }) => chain === one }), []);
  });

  it('accepts that older files were removed only where that is said', async () => {
    const { texts, anchors } = written([one, two, two, two]);
    const left = texts.slice(2);
    assert.deepEqual(await damages(left, anchors), [`truncated nowhere ${one} 1`, `deleted 1 ${two} 1`].toSorted());
    const { findings, notes } = await verified(left, anchors, { olderRemoved: true });
    assert.deepEqual(findings, []);
    assert.deepEqual(notes, [
      `chain ${one} is older than these files`,
      `chain ${two} begins at line 2: earlier lines were in files that have been removed`,
    ]);
    assert.deepEqual(await damages(left.toSpliced(0, 1), anchors, { olderRemoved: true }), []);
    assert.deepEqual(await damages(left.toSpliced(1, 1), anchors, { olderRemoved: true }), [`truncated 1 ${two} 3`]);
  });

  it('sees that somebody with the key wrote the end anew', async () => {
    const { texts, anchors } = written([one, one]);
    const before = parseLine(texts[0] ?? '');
    assert.ok(before);
    const place = { ...before.said, sequence: 2, previous: before.mac };
    const { text } = writeLine(place, { event: 'role-used', actor: 'nobody' }, key);
    assert.deepEqual(await damages(texts.with(1, text), anchors), [`edited 2 ${one} 2`]);
  });

  it('notes that a chain without an anchor may have lost its end', async () => {
    const { texts } = written([one]);
    const { findings, notes } = await verified(texts, []);
    assert.deepEqual(findings, []);
    assert.match(notes.join(), /has no anchor in the store/);
  });
});
