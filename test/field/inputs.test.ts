import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fieldInputPath, readFieldInput } from './input.fixture.ts';

const folder = new URL('.', import.meta.url);

describe('the inputs from the field', () => {
  it('are each read, sent or loaded by a test', async () => {
    const names = await readdir(fieldInputPath('.'));
    const files = await readdir(folder);
    const tests = files.filter((name) => name.endsWith('.test.ts') && name !== 'inputs.test.ts');
    const texts = await Promise.all(tests.map((name) => readFile(new URL(name, folder), 'utf8')));
    const unused = names.filter((name) => !texts.some((text) => text.includes(`'${name}'`)));
    assert.deepEqual(unused, []);
  });

  it('are files with something in them', async () => {
    for (const name of await readdir(fieldInputPath('.'))) assert.ok((await readFieldInput(name)).length > 0, name);
  });
});
