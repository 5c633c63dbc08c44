import { randomBytes } from 'node:crypto';
import { encodeText, knownCharset } from '../core/charset.ts';
import type { HtmlButton, HtmlControl } from './html-controls.ts';
import type { HtmlForm } from './html-form.ts';

/** The value of one field of a form that is sent. */
interface Entry {
  readonly name: string;
  readonly value: string;
  /** No file was chosen, which only `multipart/form-data` says. */
  readonly isFile?: true;
}

/** A form as it is sent. */
export interface Submission {
  readonly method: 'GET' | 'POST';
  /** As it stands in the page; undefined or empty for the page itself. */
  readonly action: string | undefined;
  readonly enctype: 'application/x-www-form-urlencoded' | 'multipart/form-data' | 'text/plain';
  readonly charset: string;
  readonly entries: readonly Entry[];
}

/** Options of a form's submission. */
export interface SubmissionOptions {
  /** Typed in, by the names of their controls; a name that the form lacks is added at the end. */
  readonly typed: ReadonlyMap<string, string>;
  /** The page's charset. */
  readonly charset: string;
  /** Name of the button to press; without it the first, as the enter key does. */
  readonly button?: string | undefined;
}

/** The submission that a browser sends when the form is filled in and its button pressed. */
export function submissionOf(form: HtmlForm, { typed, charset: pageCharset, button }: SubmissionOptions): Submission {
  const buttons = form.controls.filter(
    (control): control is HtmlButton =>
      (control.kind === 'button' || control.kind === 'image') && (button === undefined || control.name === button),
  );
  // Where none may be pressed yet, the page's script enables it as soon as the fields are filled.
  const pressed = buttons.find(({ disabled }) => !disabled) ?? buttons[0];
  const charset = charsetFor(form.acceptCharset, pageCharset);
  return {
    method: (pressed?.method ?? form.method)?.toLowerCase() === 'post' ? 'POST' : 'GET',
    action: pressed?.action ?? form.action,
    enctype: enctypeOf(pressed?.enctype ?? form.enctype),
    charset,
    entries: entriesOf(form.controls, pressed, typed, charset),
  };
}

function entriesOf(
  controls: readonly HtmlControl[],
  pressed: HtmlButton | undefined,
  typed: ReadonlyMap<string, string>,
  charset: string,
): readonly Entry[] {
  const entries: Entry[] = [];
  const filled = new Set<string>();
  for (const control of controls) {
    const { name } = control;
    const text = control.kind === 'button' || control.kind === 'image' ? undefined : typed.get(name);
    if (text === undefined) entries.push(...entriesOfControl(control, pressed, charset));
    else if (!filled.has(name)) {
      // Also where the page's script enables it first.
      filled.add(name);
      entries.push({ name, value: text });
    }
  }
  for (const [name, value] of typed) if (!filled.has(name)) entries.push({ name, value });
  return entries;
}

/** The "entry list" of HTML, for one control. */
function entriesOfControl(control: HtmlControl, pressed: HtmlButton | undefined, charset: string): readonly Entry[] {
  const { name } = control;
  if (control.disabled && control !== pressed) return [];
  if (control.kind === 'image') return control === pressed ? placeIn(name) : [];
  if (name === '') return [];
  switch (control.kind) {
    case 'button':
      return control === pressed ? [{ name, value: control.value }] : [];
    case 'checkbox':
    case 'radio':
      return control.checked ? [{ name, value: control.value }] : [];
    case 'select':
      return control.values.map((value) => ({ name, value }));
    case 'file':
      return [{ name, value: '', isFile: true }];
    case 'hidden':
      return [{ name, value: name.toLowerCase() === '_charset_' ? writtenCharset(charset) : control.value }];
    default:
      return [{ name, value: control.value }];
  }
}

/** The name of a coding as browsers write it. */
function writtenCharset(charset: string): string {
  return /^(?:utf|iso|koi8|euc)/.test(charset) ? charset.toUpperCase() : charset;
}

/** Where a picture was pressed: by a key, which is its corner. */
function placeIn(name: string): readonly Entry[] {
  const prefix = name === '' ? '' : `${name}.`;
  return ['x', 'y'].map((axis) => ({ name: prefix + axis, value: '0' }));
}

function enctypeOf(text: string | undefined): Submission['enctype'] {
  const enctype = text?.toLowerCase();
  return enctype === 'multipart/form-data' || enctype === 'text/plain' ? enctype : 'application/x-www-form-urlencoded';
}

/** The first coding of a list that is known, else that of the page. */
function charsetFor(accepted: string | undefined, page: string): string {
  const labels = accepted?.split(/[\t\n\f\r ,]+/).filter((label) => label !== '') ?? [];
  const charset = labels.map(knownCharset).find((known) => known !== undefined) ?? page;
  return charset.startsWith('utf-16') ? 'utf-8' : charset;
}

/** A submission as bytes. Each character of `text` is one byte. */
export interface EncodedSubmission {
  readonly type: string;
  readonly text: string;
}

/** Throws a RangeError for a text that the coding of the form cannot carry. */
export function encodeSubmission({ enctype, charset, entries }: Submission): EncodedSubmission {
  const bytes = (text: string): string => encodeText(withLineEnds(text), charset).toString('latin1');
  if (enctype === 'text/plain') {
    return { type: enctype, text: entries.map(({ name, value }) => `${bytes(name)}=${bytes(value)}\r\n`).join('') };
  }
  if (enctype === 'multipart/form-data') {
    const boundary = `----FormBoundary${randomBytes(12).toString('hex')}`;
    const parts = entries.map(({ name, value, isFile }) => {
      const quoted = bytes(name).replace(/["\r\n]/g, (each) => percent(each));
      const file = isFile === true ? '; filename=""\r\nContent-Type: application/octet-stream' : '';
      return `--${boundary}\r\nContent-Disposition: form-data; name="${quoted}"${file}\r\n\r\n${bytes(value)}\r\n`;
    });
    return { type: `${enctype}; boundary=${boundary}`, text: `${parts.join('')}--${boundary}--\r\n` };
  }
  return { type: enctype, text: urlEncoded(entries, charset) };
}

/** The query of a form that is sent by GET, and the body of most others. Throws as {@link encodeSubmission} does. */
export function urlEncoded(entries: readonly Entry[], charset: string): string {
  const encoded = (text: string): string =>
    encodeText(withLineEnds(text), charset)
      .toString('latin1')
      .replace(/[^*\-.0-9A-Z_a-z]/g, (byte) => (byte === ' ' ? '+' : percent(byte)));
  return entries.map(({ name, value }) => `${encoded(name)}=${encoded(value)}`).join('&');
}

function withLineEnds(text: string): string {
  return text.replace(/\r\n?|\n/g, '\r\n');
}

function percent(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}
