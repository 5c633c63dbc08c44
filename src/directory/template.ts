import { type LoginName, splitLoginName } from '../core/names.ts';
import type { Settings } from './settings.ts';

/** A text with `%u` (user and domain), `%n` (user alone) and `%d` (domain), as in Dovecot; `%%` is a per cent sign. */
export interface Template {
  readonly parts: readonly (string | TemplateVariable)[];
}

export interface TemplateVariable {
  readonly variable: 'u' | 'n' | 'd';
}

export function readTemplate(settings: Settings, key: string, otherwise?: string): Template {
  const text = settings.text(key, otherwise);
  const template = parseTemplate(text);
  if (typeof template !== 'string') return template;
  settings.problem(key, template);
  return { parts: [] };
}

/** The parsed text, or what is wrong with it. */
export function parseTemplate(text: string): Template | string {
  const parts: (string | TemplateVariable)[] = [];
  for (const part of text.split(/(%.?)/s)) {
    if (part === '%u' || part === '%n' || part === '%d')
      parts.push({ variable: part === '%u' ? 'u' : part === '%n' ? 'n' : 'd' });
    else if (part === '%%') parts.push('%');
    else if (part.startsWith('%')) return `${part} is not known here: write %u, %n, %d, or %% for a per cent sign`;
    else if (part !== '') parts.push(part);
  }
  return { parts };
}

/** The text for a name, each inserted value through the one escaping function of where the text goes. */
export function fillTemplate(template: Template, name: LoginName, escape: (value: string) => string): string {
  return template.parts.map((part) => (typeof part === 'string' ? part : escape(valueOf(part, name)))).join('');
}

export function valueOf({ variable }: TemplateVariable, name: LoginName): string {
  if (variable === 'u') return name;
  const { local, domain } = splitLoginName(name);
  return variable === 'n' ? local : domain;
}
