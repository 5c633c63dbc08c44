import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';
import { accentStyles } from './accent.ts';
import { type Assets, readAssets } from './assets.ts';
import type { Branding } from './branding.ts';
import { type Locale, type Locales, readLocales } from './locales.ts';

const views = new URL('../../views/', import.meta.url);
const statics = new URL('../../static/', import.meta.url);

/** The pages that there are; those of the staff are in English. */
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
  | 'console-audit'
  | 'console-message';

/** What every page needs beside its own values. */
interface PageFrame {
  readonly locale: Locale;
  readonly title: string;
  /** The address of this page in another language; without it there is no picker. */
  readonly inLanguage?: (tag: string) => string;
}

/** The pages as HTML, the languages they speak and the files they use. */
export interface Views {
  readonly assets: Assets;
  /** Those under `/-/assist/`, for pages of webmails. */
  readonly assistAssets: Assets;
  readonly locales: Locales;
  /** Renders views/`name`.eta in the layout. Every value is escaped. */
  render(name: ViewName, frame: PageFrame, values: Readonly<Record<string, unknown>>): string;
}

/** Reads templates, catalogues and static files, and lets the branding into them. Throws when a file is unreadable. */
export function createViews(branding: Branding): Views {
  const { logo, logoDark } = branding;
  const assets = readAssets(statics, [
    { name: 'accent.css', contentType: 'text/css; charset=utf-8', body: Buffer.from(colourStyles(branding)) },
    ...(logo === undefined ? [] : [{ name: 'logo', ...logo }]),
    ...(logoDark === undefined ? [] : [{ name: 'logo-dark', ...logoDark }]),
  ]);
  const locales = readLocales(new URL('locales/', views), branding.defaultLocale);
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

/** The picture over the form, and the one that takes its place where a browser wants dark pages. */
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
 * All templates are read now: at the first use there may be no descriptor left, or the files of another version where an
 * upgrade has been installed.
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
