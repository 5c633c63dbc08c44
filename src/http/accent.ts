type Rgb = readonly [red: number, green: number, blue: number];

/** `--notice` of static/page.css and of static/dark.css: of all grounds the ones on which the accent is hardest to read. */
const lightGround: Rgb = [237, 242, 248];
const darkGround: Rgb = [42, 48, 56];
const white: Rgb = [255, 255, 255];
const black: Rgb = [0, 0, 0];
/** WCAG 2.2, 1.4.3, with a little to spare for rounding. */
const readable = 4.6;

/**
 * The styles that carry the operator's accent colour, given as `#rgb` or `#rrggbb`, and what a dark page changes in them.
 *
 * The colour itself fills buttons, with black or white text on it, whichever is easier to read; as text and outline it
 * is darkened or lightened until it is readable on the page in either scheme. Throws a RangeError for any other form.
 */
export function accentStyles(colour: string): { readonly light: string; readonly dark: string } {
  const accent = parse(colour);
  const onAccent = contrast(accent, white) >= contrast(accent, black) ? white : black;
  const onLight = mixUntilReadable(accent, black, lightGround);
  const onDark = mixUntilReadable(accent, white, darkGround);
  return {
    light: `:root { --accent: ${hex(accent)}; --on-accent: ${hex(onAccent)}; --accent-text: ${hex(onLight)}; }\n`,
    dark: `:root { --accent-text: ${hex(onDark)}; }\n`,
  };
}

/** WCAG 2.2, contrast ratio. */
function contrast(a: Rgb, b: Rgb): number {
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

function luminance([red, green, blue]: Rgb): number {
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

function linear(channel: number): number {
  const share = channel / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
}

function mixUntilReadable(colour: Rgb, towards: Rgb, ground: Rgb): Rgb {
  for (let share = 0; share < 1; share += 0.02) {
    const mixed = mix(colour, towards, share);
    if (contrast(mixed, ground) >= readable) return mixed;
  }
  return towards;
}

function mix(a: Rgb, b: Rgb, share: number): Rgb {
  const channel = (index: 0 | 1 | 2) => Math.round(a[index] + (b[index] - a[index]) * share);
  return [channel(0), channel(1), channel(2)];
}

function parse(colour: string): Rgb {
  const digits = /^#(?:[0-9a-f]{3}|[0-9a-f]{6})$/i.test(colour) ? colour.slice(1) : undefined;
  if (digits === undefined) throw new RangeError(`not a colour of the form #rrggbb: ${JSON.stringify(colour)}`);
  const six = digits.length === 3 ? digits.replace(/./g, '$&$&') : digits;
  const channel = (at: number) => Number.parseInt(six.slice(at, at + 2), 16);
  return [channel(0), channel(2), channel(4)];
}

function hex(colour: Rgb): string {
  return `#${colour.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`;
}
