import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';
import type { RequestHandler } from 'express';
import { type Locale, type Locales, localesFolder, readLocales } from './locales.ts';

const views = new URL('../../views/', import.meta.url);
const statics = new URL('../../static/', import.meta.url);

/** The views; those for staff are in English. */
type ViewName =
  | 'login'
  | 'logout'
  | 'message'
  | 'notice'
  | 'sessions'
  | 'console-sign-in'
  | 'console-factor'
  | 'console-enrol'
  | 'console-recovery'
  | 'console-users'
  | 'console-link'
  | 'console-opened'
  | 'console-backends'
  | 'console-backend-rows'
  | 'console-backend-strip'
  | 'console-backend'
  | 'console-maintenance'
  | 'console-sessions'
  | 'console-sessions-end'
  | 'console-penalties'
  | 'console-moves'
  | 'console-moves-rows'
  | 'console-moves-strip'
  | 'console-nodes'
  | 'console-route'
  | 'console-statistics'
  | 'console-audit'
  | 'console-by-link'
  | 'console-message';

/** Values that every page needs besides its own. */
interface PageFrame {
  readonly locale: Locale;
  readonly title: string;
  /** The address of this page in another language; without it there is no picker. */
  readonly inLanguage?: (tag: string) => string;
}

/** The pages as HTML, the languages they speak and the files they use. */
export interface Views {
  readonly assets: Assets;
  /** Asset URLs under `/-/assist/`, for pages of webmails. */
  readonly assistAssets: Assets;
  readonly locales: Locales;
  /** Renders views/`name`.eta in the layout. Every value is escaped. */
  render(name: ViewName, frame: PageFrame, values: Readonly<Record<string, unknown>>): string;
}

/** Reads templates, catalogues and static files, and applies the branding. Throws if a file is unreadable. */
export function createViews(branding: Branding): Views {
  const { logo, logoDark } = branding;
  const assets = readAssets(statics, [
    { name: 'accent.css', contentType: 'text/css; charset=utf-8', body: Buffer.from(colourStyles(branding)) },
    ...(logo === undefined ? [] : [{ name: 'logo', ...logo }]),
    ...(logoDark === undefined ? [] : [{ name: 'logo-dark', ...logoDark }]),
  ]);
  const locales = readLocales(localesFolder, branding.defaultLocale);
  const eta = openTemplates(fileURLToPath(views));
  const shared = {
    brand: {
      name: branding.name,
      links: branding.links,
      colourScheme: { auto: 'light dark', light: 'only light', dark: 'dark' }[branding.scheme],
      ...logosOf(branding, assets),
    },
    asset: (name: string) => assets.url(name),
  };

  return {
    assets,
    assistAssets: readAssets(new URL('assist/', statics), [], '/-/assist/'),
    locales,
    render(name, { locale, title, inLanguage }, values) {
      const languages = locales.all.map(({ tag, label }) => ({ tag, label, href: inLanguage?.(tag) }));
      const frame = { title, lang: locale.tag, t: locale.text };
      return eta.render(`./${name}`, { ...shared, ...frame, languages: inLanguage && languages, ...values });
    },
  };
}

/** The accent, and the colours of dark pages for whom they are meant. */
function colourStyles({ accentColour, scheme }: Branding): string {
  const { light, dark } = accentStyles(accentColour);
  if (scheme === 'light') return light;
  const all = readFileSync(new URL('dark.css', statics), 'utf8') + dark;
  return light + (scheme === 'dark' ? all : `@media (prefers-color-scheme: dark) {\n${all}}\n`);
}

/** The logo over the form, and the one for dark pages. */
function logosOf({ logo, logoDark, scheme }: Branding, assets: Assets): { logo?: string; logoDark?: string } {
  const light = logo === undefined ? undefined : assets.url('logo');
  const dark = logoDark === undefined ? undefined : assets.url('logo-dark');
  if (scheme !== 'auto' || light === undefined || dark === undefined) {
    const only = scheme === 'dark' ? (dark ?? light) : (light ?? dark);
    return only === undefined ? {} : { logo: only };
  }
  return { logo: light, logoDark: dark };
}

/**
 * All templates are read now: at the first use there may be no descriptor left, or the files of another version where
 * an upgrade has been installed.
 */
function openTemplates(folder: string): Eta {
  const texts = new Map(
    readdirSync(folder)
      .filter((name) => name.endsWith('.eta'))
      .map((name) => [join(folder, name), readFileSync(join(folder, name), 'utf8')]),
  );
  const eta = new Eta({ views: folder, cache: true });
  eta.readFile = (path) => {
    const text = texts.get(path);
    if (text === undefined) throw new TypeError(`there is no template ${path}`);
    return text;
  };
  return eta;
}

interface Picture {
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** How the operator's pages look. */
export interface Branding {
  /** The name of the service, as users know it. */
  readonly name: string;
  readonly logo?: Picture;
  /** In the place of the logo on a dark page. */
  readonly logoDark?: Picture;
  /** Whether pages are light, dark, or as each browser wants them. */
  readonly scheme: 'auto' | 'light' | 'dark';
  /** `#rrggbb`. */
  readonly accentColour: string;
  /** Shown under the form, for example help or legal notice. `href` is https:, http:, mailto: or a path. */
  readonly links: readonly { readonly label: string; readonly href: string }[];
  /** The language of browsers that ask for none that there is. */
  readonly defaultLocale: string;
}

type Rgb = readonly [red: number, green: number, blue: number];

/**
 * `--notice` of static/page.css and of static/dark.css: of all grounds the ones on which the accent is hardest to read.
 */
const lightGround: Rgb = [237, 242, 248];
const darkGround: Rgb = [42, 48, 56];
const white: Rgb = [255, 255, 255];
const black: Rgb = [0, 0, 0];
/** WCAG 2.2, 1.4.3, with a little to spare for rounding. */
const readable = 4.6;

/**
 * The styles that carry the operator's accent colour, given as `#rgb` or `#rrggbb`, and what a dark page changes in
 * them.
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
    const mixed = mixColours(colour, towards, share);
    if (contrast(mixed, ground) >= readable) return mixed;
  }
  return towards;
}

function mixColours(a: Rgb, b: Rgb, share: number): Rgb {
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

/** A file that is made at start instead of read. */
interface MadeAsset {
  readonly name: string;
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** Files under one prefix, kept in memory. */
export interface Assets {
  /** The address of a file, with its version. Throws a TypeError for a name that there is not. */
  url(name: string): string;
  readonly serve: RequestHandler;
}

const contentTypes: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};
/** An SVG that is opened by itself is a document on our origin: it may show, not act. */
const inertPolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/** Reads a folder of files with a known ending, and adds those that were made. */
function readAssets(folder: URL, made: readonly MadeAsset[], prefix = '/-/static/'): Assets {
  const files = readdirSync(folder).flatMap((name): MadeAsset[] => {
    const contentType = contentTypes[extname(name)];
    return contentType === undefined ? [] : [{ name, contentType, body: readFileSync(new URL(name, folder)) }];
  });
  const byName = new Map(
    [...files, ...made].map((file) => {
      const version = createHash('sha256').update(file.body).digest('base64url').slice(0, 12);
      return [file.name, { ...file, version }];
    }),
  );

  return {
    url(name) {
      const file = byName.get(name);
      if (file === undefined) throw new TypeError(`there is no static file ${name}`);
      return `${prefix}${name}?v=${file.version}`;
    },
    serve(request, response, next) {
      const file = request.path.startsWith(prefix) ? byName.get(request.path.slice(prefix.length)) : undefined;
      if (file === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) {
        next();
        return;
      }
      // During an upgrade a page of one node asks another for its files: only what was asked for may be kept for good.
      const isAsked = request.url.endsWith(`?v=${file.version}`);
      response.setHeader('Cache-Control', isAsked ? 'public, max-age=31536000, immutable' : 'no-cache');
      response.setHeader('ETag', `"${file.version}"`);
      if (file.contentType.startsWith('image/')) response.setHeader('Content-Security-Policy', inertPolicy);
      if (request.headers['if-none-match']?.includes(`"${file.version}"`) === true) {
        response.status(304).end();
        return;
      }
      response.setHeader('Content-Type', file.contentType);
      response.setHeader('Content-Length', file.body.length);
      response.end(request.method === 'HEAD' ? undefined : file.body);
    },
  };
}
