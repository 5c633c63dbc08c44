import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { accentStyles } from '../../src/http/views.ts';

/** Every ground that a link or a button stands on, in either scheme. */
const [light, dark] = ['page.css', 'dark.css'].map((file) => {
  const css = readFileSync(new URL(`../../static/${file}`, import.meta.url), 'utf8');
  return ['card', 'notice', 'page'].map((name) => new RegExp(`--${name}: (#[0-9a-f]{6});`).exec(css)?.[1] ?? '');
});

/** As WCAG 2.2 defines it, written anew. */
function contrast(one: string, other: string): number {
  const [less = 0, more = 0] = [luminance(one), luminance(other)].toSorted((a, b) => a - b);
  return (more + 0.05) / (less + 0.05);
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function colours(styles: ReturnType<typeof accentStyles>) {
  const css = styles.light + styles.dark;
  const [accent = '', onAccent = '', onLight = '', onDark = ''] = css.match(/#[0-9a-f]{6}/g) ?? [];
  return { accent, onAccent, onLight, onDark };
}

test('the style sheet has three grounds in either scheme', () => {
  for (const ground of [...(light ?? []), ...(dark ?? [])]) assert.match(ground, /^#/);
  assert.equal(light?.length, 3);
});

test('whatever the colour is, what is written on it and in it can be read, in light and in dark', () => {
  const channel = fc.integer({ min: 0, max: 255 }).map((value) => value.toString(16).padStart(2, '0'));
  fc.assert(
    fc.property(channel, channel, channel, (red, green, blue) => {
      const { accent, onAccent, onLight, onDark } = colours(accentStyles(`#${red}${green}${blue}`));
      assert.equal(accent, `#${red}${green}${blue}`);
      assert.ok(contrast(accent, onAccent) >= 4.5);
      for (const ground of light ?? []) assert.ok(contrast(ground, onLight) >= 4.5, ground);
      for (const ground of dark ?? []) assert.ok(contrast(ground, onDark) >= 4.5, ground);
    }),
  );
});

test('a colour that can be read stays as it is', () => {
  assert.deepEqual(colours(accentStyles('#06c')), {
    accent: '#0066cc',
    onAccent: '#ffffff',
    onLight: '#0066cc',
    onDark: '#5c9dde',
  });
});

for (const colour of [
  '',
  'red',
  '#12',
  '#12345',
  '#1234567',
  '#12345g',
  '#fff; } body { display: none',
  'rgb(0,0,0)',
]) {
  test(`${JSON.stringify(colour)} is no colour`, () => {
    assert.throws(() => accentStyles(colour), RangeError);
  });
}
