import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { outcomeOf, temporaryDirectory, testDirectory } from '../directory/directory.fixture.ts';
import { fieldInputPath } from './input.fixture.ts';

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const utf16be = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16();

/** Alice's backend by a file of this type, or the error at the start. */
async function ofFile(type: 'map' | 'regex', bytes: Buffer, settings: object = {}): Promise<string> {
  await using folder = await temporaryDirectory();
  const file = join(folder.path, 'table');
  await writeFile(file, bytes);
  try {
    await using directory = await testDirectory([{ type, file, ...settings }]);
    return await outcomeOf(directory, 'alice');
  } catch (error) {
    if (error instanceof Error) return error.message.replaceAll(`${folder.path}/`, '');
    throw error;
  }
}

test('a Latin-1 comment refuses no map, as it came from the field', async () => {
  await using directory = await testDirectory([{ type: 'map', file: fieldInputPath('D8-latin1-comment.map') }]);
  assert.equal(await outcomeOf(directory, 'alice'), 'a alice@example.test');
  assert.equal(await outcomeOf(directory, 'bob'), 'b bob@example.test');
});

describe('a table that is not all UTF-8', () => {
  const alice = 'a alice@example.test';
  const toLatin1 = 'convert the file with iconv -f ISO-8859-1 -t UTF-8';
  const cases: readonly (readonly [what: string, type: 'map' | 'regex', bytes: Buffer, outcome: string])[] = [
    ['a Latin-1 comment in front', 'map', latin1('# für alle\nalice: a\n'), alice],
    ['an indented one', 'map', latin1('alice: a\n  # für alle\n'), alice],
    ['one behind a value', 'map', latin1('alice: a # für alle\n'), alice],
    ['zero bytes in a comment', 'map', latin1('# \0\0\nalice: a\n'), alice],
    ['line ends of Windows', 'map', Buffer.from('alice: a\r\nbob: b\r\n'), alice],
    [
      'line ends of CR alone',
      'map',
      Buffer.from('alice: a\rbob: b\r'),
      "directory source 1 map: table:1: ends in CR alone: convert the file with tr '\\r' '\\n'",
    ],
    ['a CR in a comment', 'map', Buffer.from('alice: a\n# x\ry\n'), alice],
    ['a value that a backslash continues', 'map', Buffer.from('alice: \\\na\nbob: b\n'), alice],
    [
      'a value that a backslash continues, with line ends of Windows',
      'map',
      Buffer.from('alice: \\\r\na\r\nbob: b\r\n'),
      alice,
    ],
    ['UTF-8 with its mark', 'map', Buffer.from('\ufeffalice: a\n# für alle\n'), alice],
    [
      'a Latin-1 key',
      'map',
      latin1('# für\nalice: a\njörg: b\n'),
      `directory source 1 map: table:3: is not UTF-8 text: byte 0xf6 would be "ö" in ISO-8859-1; ${toLatin1}`,
    ],
    [
      'two Latin-1 keys, far apart',
      'map',
      latin1(`alice: a\njörg: b\n${'x: a\n'.repeat(60_000)}käthe: b # für alle\n`),
      [
        `directory source 1 map: table:2: is not UTF-8 text: byte 0xf6 would be "ö" in ISO-8859-1; ${toLatin1}`,
        `table:60003: is not UTF-8 text: byte 0xe4 would be "ä" in ISO-8859-1; ${toLatin1}`,
      ].join('\n'),
    ],
    [
      'a key in Windows-1252',
      'map',
      Buffer.from([...latin1('alice: a\nd'), 0x92, ...latin1('arc: b\n')]),
      'directory source 1 map: table:2: is not UTF-8 text: byte 0x92 would be "’" in WINDOWS-1252; convert the file with iconv -f WINDOWS-1252 -t UTF-8',
    ],
    [
      'UTF-16 with its mark',
      'map',
      Buffer.from('\ufeffalice: a\r\n', 'utf16le'),
      'directory source 1 map: table: is not UTF-8 text but UTF-16LE: convert it with iconv -f UTF-16LE -t UTF-8',
    ],
    [
      'UTF-16 without a mark, the other way round',
      'map',
      utf16be('alice: a\r\n'),
      'directory source 1 map: table: is not UTF-8 text but UTF-16BE: convert it with iconv -f UTF-16BE -t UTF-8',
    ],
    [
      'zero bytes after a crash',
      'map',
      Buffer.from('alice: a\n\0\0\0\0'),
      'directory source 1 map: table:2: is not UTF-8 text: it contains zero bytes, as after a crash',
    ],
    ['a Latin-1 comment in front of patterns', 'regex', latin1('# für alle\n/^alice@/ a\n'), alice],
    [
      'a Latin-1 pattern',
      'regex',
      latin1('/^alice@/ a\n/^jörg@/ b\n'),
      `directory source 1 regex: table:2: is not UTF-8 text: byte 0xf6 would be "ö" in ISO-8859-1; ${toLatin1}`,
    ],
    [
      'patterns in UTF-16',
      'regex',
      Buffer.from('\ufeff/^alice@/ a\r\n', 'utf16le'),
      'directory source 1 regex: table: is not UTF-8 text but UTF-16LE: convert it with iconv -f UTF-16LE -t UTF-8',
    ],
  ];
  for (const [what, type, bytes, outcome] of cases) {
    test(`with ${what}`, async () => assert.equal(await ofFile(type, bytes), outcome));
  }

  test("with a Latin-1 comment behind one of Perdition's patterns", async () => {
    assert.equal(
      await ofFile('regex', latin1('^alice: mail-a.example.test # für alle\n'), { format: 'perdition' }),
      alice,
    );
  });
});
