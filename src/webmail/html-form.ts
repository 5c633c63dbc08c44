import { randomBytes } from 'node:crypto';
import { encodeText, knownCharset } from '../core/text.ts';

/** The attributes of an element by name. */
export type Attributes = ReadonlyMap<string, string>;

interface NamedControl {
  /** Empty for a control without a name; only a button without one matters. */
  readonly name: string;
  readonly disabled: boolean;
}

/** One control of a form. */
export type HtmlControl = NamedControl &
  (
    | { readonly kind: 'text' | 'hidden' | 'textarea'; readonly value: string }
    | { readonly kind: 'checkbox' | 'radio'; readonly value: string; readonly checked: boolean }
    | { readonly kind: 'select'; readonly values: readonly string[] }
    | { readonly kind: 'file' }
    | HtmlButton
  );

/** A control that submits a form. Its own action, method and enctype override those of the form. */
interface HtmlButton extends NamedControl {
  readonly kind: 'button' | 'image';
  readonly value: string;
  readonly action: string | undefined;
  readonly method: string | undefined;
  readonly enctype: string | undefined;
}

/** A form of a page, with all controls that belong to it, in the order of the page. */
export interface HtmlForm {
  readonly id: string | undefined;
  readonly name: string | undefined;
  /** The attribute as written; undefined if the form has none. */
  readonly action: string | undefined;
  readonly method: string | undefined;
  readonly enctype: string | undefined;
  readonly acceptCharset: string | undefined;
  readonly controls: readonly HtmlControl[];
  /** The values of hidden and text fields by name; the last one of a name counts. */
  readonly fields: ReadonlyMap<string, string>;
}

/** An option of a list, as far as it was read. */
export interface HtmlOption {
  readonly selected: boolean;
  readonly disabled: boolean;
  readonly value: string | undefined;
  text: string;
}

/** The name of a control; empty if it has none. */
export function controlName(attributes: Attributes): string {
  return attributes.get('name') ?? '';
}

/** The control of an `<input>`; undefined for one that sends nothing and submits nothing. */
export function inputOf(attributes: Attributes, disabled: boolean): HtmlControl | undefined {
  const name = controlName(attributes);
  const value = attributes.get('value') ?? '';
  const type = attributes.get('type')?.toLowerCase() ?? 'text';
  switch (type) {
    case 'button':
    case 'reset':
      return undefined;
    case 'file':
      return { kind: 'file', name, disabled };
    case 'hidden':
      return { kind: 'hidden', name, disabled, value };
    case 'checkbox':
    case 'radio': {
      const checked = attributes.has('checked');
      return { kind: type, name, disabled, checked, value: attributes.get('value') ?? 'on' };
    }
    case 'submit':
    case 'image':
      // Without a value a browser sends its own label.
      return submits(type === 'image' ? 'image' : 'button', attributes, disabled, 'Submit');
    default:
      return { kind: 'text', name, disabled, value: value.replace(/[\r\n]/g, '') };
  }
}

/** The control of a `<button>`; undefined for one that does not submit. */
export function buttonOf(attributes: Attributes, disabled: boolean): HtmlControl | undefined {
  const type = attributes.get('type')?.toLowerCase();
  return type === 'button' || type === 'reset' ? undefined : submits('button', attributes, disabled, '');
}

function submits(
  kind: HtmlButton['kind'],
  attributes: Attributes,
  disabled: boolean,
  valueWithout: string,
): HtmlButton {
  return {
    kind,
    name: controlName(attributes),
    disabled,
    value: attributes.get('value') ?? valueWithout,
    action: attributes.get('formaction'),
    method: attributes.get('formmethod'),
    enctype: attributes.get('formenctype'),
  };
}

/** The chosen options of a `<select>`. If the page chose none, a list of one line has its first option. */
export function valuesOf(attributes: Attributes, options: readonly HtmlOption[]): readonly string[] {
  const selected = options.filter(({ selected: is }) => is);
  let chosen = selected;
  if (!attributes.has('multiple')) {
    const isSingleLine = !(Number(attributes.get('size')) > 1);
    const shown = selected.at(-1) ?? (isSingleLine ? options.find(({ disabled }) => !disabled) : undefined);
    chosen = shown === undefined ? [] : [shown];
  }
  return chosen
    .filter(({ disabled }) => !disabled)
    .map(({ value, text }) => value ?? text.replace(/[\t\n\f\r ]+/g, ' ').trim());
}

/** The controls with one checked radio button a name: the last that the page checked. */
export function withRadios(controls: readonly HtmlControl[]): readonly HtmlControl[] {
  const last = new Map<string, HtmlControl>();
  for (const control of controls) {
    if (control.kind === 'radio' && control.checked) last.set(control.name, control);
  }
  return controls.map((control) =>
    control.kind === 'radio' && control.checked && last.get(control.name) !== control
      ? { ...control, checked: false }
      : control,
  );
}

/** One field of a form that is sent. */
interface FormEntry {
  readonly name: string;
  readonly value: string;
  /** Set for a file field, in which no file was chosen. Only `multipart/form-data` says so. */
  readonly isFile?: true;
}

/** A form as it is sent. */
export interface Submission {
  readonly method: 'GET' | 'POST';
  /** The attribute as written; undefined or empty for the page itself. */
  readonly action: string | undefined;
  readonly enctype: 'application/x-www-form-urlencoded' | 'multipart/form-data' | 'text/plain';
  readonly charset: string;
  readonly entries: readonly FormEntry[];
}

/** Options of a form's submission. */
interface SubmissionOptions {
  /** The typed values by the names of their controls; a name that the form lacks is added at the end. */
  readonly typed: ReadonlyMap<string, string>;
  /** The page's charset. */
  readonly charset: string;
  /** The name of the button to press; undefined for the first, which the Enter key presses. */
  readonly button?: string | undefined;
}

/** The submission that a browser sends when the form is filled in and its button pressed. */
export function submissionOf(form: HtmlForm, { typed, charset: pageCharset, button }: SubmissionOptions): Submission {
  const buttons = form.controls.filter(
    (control): control is HtmlButton =>
      (control.kind === 'button' || control.kind === 'image') && (button === undefined || control.name === button),
  );
  // If all are disabled, the page's script enables one when the fields are filled.
  const pressed = buttons.find(({ disabled }) => !disabled) ?? buttons[0];
  const charset = charsetFor(form.acceptCharset, pageCharset);
  return {
    method: (pressed?.method ?? form.method)?.toLowerCase() === 'post' ? 'POST' : 'GET',
    action: pressed?.action ?? form.action,
    enctype: enctypeOf(pressed?.enctype ?? form.enctype),
    charset,
    entries: formEntries(form.controls, pressed, typed, charset),
  };
}

function formEntries(
  controls: readonly HtmlControl[],
  pressed: HtmlButton | undefined,
  typed: ReadonlyMap<string, string>,
  charset: string,
): readonly FormEntry[] {
  const entries: FormEntry[] = [];
  const filled = new Set<string>();
  for (const control of controls) {
    const { name } = control;
    const text = control.kind === 'button' || control.kind === 'image' ? undefined : typed.get(name);
    if (text === undefined) entries.push(...entriesOfControl(control, pressed, charset));
    else if (!filled.has(name)) {
      // A disabled field is filled, too: the page's script enables it first.
      filled.add(name);
      entries.push({ name, value: text });
    }
  }
  for (const [name, value] of typed) if (!filled.has(name)) entries.push({ name, value });
  return entries;
}

/** The part of HTML's "entry list" that one control contributes. */
function entriesOfControl(
  control: HtmlControl,
  pressed: HtmlButton | undefined,
  charset: string,
): readonly FormEntry[] {
  const { name } = control;
  if (control.disabled && control !== pressed) return [];
  if (control.kind === 'image') return control === pressed ? cornerEntries(name) : [];
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

/** The name of a charset as browsers write it. */
function writtenCharset(charset: string): string {
  return /^(?:utf|iso|koi8|euc)/.test(charset) ? charset.toUpperCase() : charset;
}

/** The coordinates of an image button that was pressed by a key: its corner. */
function cornerEntries(name: string): readonly FormEntry[] {
  const prefix = name === '' ? '' : `${name}.`;
  return ['x', 'y'].map((axis) => ({ name: prefix + axis, value: '0' }));
}

function enctypeOf(text: string | undefined): Submission['enctype'] {
  const enctype = text?.toLowerCase();
  return enctype === 'multipart/form-data' || enctype === 'text/plain' ? enctype : 'application/x-www-form-urlencoded';
}

/** The first known charset of a list, else that of the page. */
function charsetFor(accepted: string | undefined, page: string): string {
  const labels = accepted?.split(/[\t\n\f\r ,]+/).filter((label) => label !== '') ?? [];
  const charset = labels.map(knownCharset).find((known) => known !== undefined) ?? page;
  return charset.startsWith('utf-16') ? 'utf-8' : charset;
}

/** A submission as bytes: each character of `text` is one byte. */
interface EncodedSubmission {
  readonly type: string;
  readonly text: string;
}

/** Encodes a submission. Throws a RangeError for text that the charset of the form cannot carry. */
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

/** Entries as the query of a form sent by GET, or the body of most others. Throws as {@link encodeSubmission} does. */
export function urlEncoded(entries: readonly FormEntry[], charset: string): string {
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
