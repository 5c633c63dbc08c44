import { type Token, Tokenizer, TokenizerMode } from 'parse5';
import {
  type Attributes,
  buttonOf,
  controlName,
  type HtmlControl,
  type HtmlForm,
  type HtmlOption,
  inputOf,
  valuesOf,
  withRadios,
} from './html-form.ts';

/** The parts of a page that a sign-in by form reads. */
export interface HtmlPage {
  /** The `href` of `<base>` as written; undefined if the page has none. */
  readonly base: string | undefined;
  readonly forms: readonly HtmlForm[];
  /** Texts of `<meta name content>`. */
  readonly metas: ReadonlyMap<string, string>;
}

/** Reads the forms of a page in one pass: time and memory are linear in its length, however elements are nested. */
export function readForms(html: string): HtmlPage {
  const reader = new PageReader();
  const tokenizer = new Tokenizer({}, reader);
  reader.tokenizer = tokenizer;
  tokenizer.write(html, true);
  return reader.page();
}

/** The first form of a page that `isWanted` accepts; undefined if there is none. */
export function findForm(html: string, isWanted: (form: HtmlForm) => boolean): HtmlForm | undefined {
  return readForms(html).forms.find(isWanted);
}

interface FormDraft {
  readonly attributes: Attributes;
  /** The controls with their positions in the page. */
  readonly controls: PlacedControl[];
}

interface PlacedControl {
  readonly at: number;
  readonly control: HtmlControl;
}

interface SelectDraft {
  readonly attributes: Attributes;
  readonly owner: FormDraft | string | undefined;
  readonly disabled: boolean;
  readonly options: HtmlOption[];
  groupDisabled: boolean;
}

interface Fieldset {
  readonly disabled: boolean;
  /** Controls in the first legend of a disabled fieldset are not disabled by it. */
  legend: 'before' | 'inside' | 'after';
}

/** Elements whose content is text, with the mode in which the tokenizer reads it. */
const textElements: ReadonlyMap<string, (typeof TokenizerMode)[keyof typeof TokenizerMode]> = new Map([
  ...['textarea', 'title'].map((name) => [name, TokenizerMode.RCDATA] as const),
  ...['style', 'xmp', 'iframe', 'noembed', 'noframes', 'noscript'].map(
    (name) => [name, TokenizerMode.RAWTEXT] as const,
  ),
  ['script', TokenizerMode.SCRIPT_DATA],
  ['plaintext', TokenizerMode.PLAINTEXT],
]);

/** The elements that forms consist of, and those that change where a form is sent. */
const formElements: ReadonlySet<string> = new Set(
  'form base meta fieldset legend input button select textarea option optgroup'.split(' '),
);

/** Follows the tags of a page as HTML's "form element pointer" does, as far as forms need it. It builds no tree. */
class PageReader {
  tokenizer: Tokenizer | undefined;
  #base: string | undefined;
  readonly #metas = new Map<string, string>();
  readonly #forms: FormDraft[] = [];
  readonly #byId = new Map<string, FormDraft>();
  /** Controls with a `form` attribute, whose form may come later in the page. */
  readonly #named: (PlacedControl & { readonly form: string })[] = [];
  #controls = 0;
  #form: FormDraft | undefined;
  readonly #fieldsets: Fieldset[] = [];
  /** The number of open fieldsets that disable a control at this place. */
  #disabling = 0;
  /** The number of open `<template>` elements; `#foreign` counts SVG and MathML. */
  #templates = 0;
  #foreign = 0;
  #select: SelectDraft | undefined;
  #option: HtmlOption | undefined;
  #textarea:
    | { readonly attributes: Attributes; readonly owner: FormDraft | string | undefined; text: string }
    | undefined;

  page(): HtmlPage {
    this.#endSelect();
    for (const named of this.#named) this.#byId.get(named.form)?.controls.push(named);
    return { base: this.#base, metas: this.#metas, forms: this.#forms.map(formOf) };
  }

  onStartTag(tag: Token.TagToken): void {
    const { tagName } = tag;
    const mode = textElements.get(tagName);
    // In SVG and MathML `<script/>` has no content.
    const isWhole = this.#foreign > 0 && tag.selfClosing;
    if (mode !== undefined && !isWhole && this.tokenizer !== undefined) this.tokenizer.state = mode;
    if (tagName === 'svg' || tagName === 'math') this.#foreign += tag.selfClosing ? 0 : 1;
    if (tagName === 'template') this.#templates += 1;
    if (this.#templates > 0 || !formElements.has(tagName)) return;
    const attributes: Attributes = new Map(tag.attrs.map(({ name, value }) => [name, value]));
    if (tagName === 'form') this.#startForm(attributes);
    else if (tagName === 'base') this.#base ??= attributes.get('href');
    else if (tagName === 'meta') this.#metas.set(attributes.get('name') ?? '', attributes.get('content') ?? '');
    else if (tagName === 'fieldset') this.#startFieldset(attributes.has('disabled'));
    else if (tagName === 'legend') this.#legend('before', 'inside');
    else this.#startControl(tagName, attributes);
  }

  onEndTag({ tagName }: Token.TagToken): void {
    if (tagName === 'template') this.#templates = Math.max(0, this.#templates - 1);
    if (tagName === 'svg' || tagName === 'math') this.#foreign = Math.max(0, this.#foreign - 1);
    if (this.#templates > 0) return;
    if (tagName === 'form') this.#form = undefined;
    else if (tagName === 'fieldset') this.#endFieldset();
    else if (tagName === 'legend') this.#legend('inside', 'after');
    else if (tagName === 'select') this.#endSelect();
    else if (tagName === 'option') this.#option = undefined;
    else if (tagName === 'optgroup' && this.#select !== undefined) this.#select.groupDisabled = false;
    else if (tagName === 'textarea') this.#endTextarea();
  }

  onCharacter({ chars }: Token.CharacterToken): void {
    if (this.#textarea !== undefined) this.#textarea.text += chars;
    else if (this.#option !== undefined) this.#option.text += chars;
  }

  onWhitespaceCharacter(token: Token.CharacterToken): void {
    this.onCharacter(token);
  }

  onNullCharacter(): void {}

  onComment(): void {}

  onDoctype(): void {}

  onEof(): void {}

  #startForm(attributes: Attributes): void {
    // HTML ignores a form inside a form.
    if (this.#form !== undefined) return;
    this.#form = { attributes, controls: [] };
    this.#forms.push(this.#form);
    const id = attributes.get('id') ?? '';
    if (id !== '' && !this.#byId.has(id)) this.#byId.set(id, this.#form);
  }

  #startControl(tagName: string, attributes: Attributes): void {
    if (tagName === 'option') return this.#startOption(attributes);
    if (tagName === 'optgroup') {
      this.#option = undefined;
      if (this.#select !== undefined) this.#select.groupDisabled = attributes.has('disabled');
      return;
    }
    // Each of these elements closes a `<select>` that was not closed.
    this.#endSelect();
    const owner = attributes.get('form') ?? this.#form;
    const disabled = this.#isDisabled(attributes);
    if (tagName === 'select') this.#select = { attributes, owner, disabled, options: [], groupDisabled: false };
    else if (tagName === 'textarea') this.#textarea = { attributes, owner, text: '' };
    else this.#add(owner, tagName === 'input' ? inputOf(attributes, disabled) : buttonOf(attributes, disabled));
  }

  #startOption(attributes: Attributes): void {
    if (this.#select === undefined) return;
    this.#option = {
      selected: attributes.has('selected'),
      disabled: attributes.has('disabled') || this.#select.groupDisabled,
      value: attributes.get('value'),
      text: '',
    };
    this.#select.options.push(this.#option);
  }

  #endSelect(): void {
    const select = this.#select;
    this.#select = undefined;
    this.#option = undefined;
    if (select === undefined) return;
    const { attributes, owner, disabled, options } = select;
    this.#add(owner, {
      kind: 'select',
      name: controlName(attributes),
      disabled,
      values: valuesOf(attributes, options),
    });
  }

  #endTextarea(): void {
    const textarea = this.#textarea;
    this.#textarea = undefined;
    if (textarea === undefined) return;
    const { attributes, owner, text } = textarea;
    // A line break right after the tag does not belong to the text.
    const value = text.replace(/^\n/, '');
    this.#add(owner, {
      kind: 'textarea',
      name: controlName(attributes),
      disabled: this.#isDisabled(attributes),
      value,
    });
  }

  #add(owner: FormDraft | string | undefined, control: HtmlControl | undefined): void {
    if (control === undefined) return;
    const at = this.#controls;
    this.#controls += 1;
    if (typeof owner === 'string') this.#named.push({ form: owner, at, control });
    else owner?.controls.push({ at, control });
  }

  #isDisabled(attributes: Attributes): boolean {
    return attributes.has('disabled') || this.#disabling > 0;
  }

  #startFieldset(disabled: boolean): void {
    this.#fieldsets.push({ disabled, legend: 'before' });
    if (disabled) this.#disabling += 1;
  }

  #legend(from: Fieldset['legend'], to: Fieldset['legend']): void {
    const fieldset = this.#fieldsets.at(-1);
    if (fieldset?.legend !== from) return;
    fieldset.legend = to;
    if (fieldset.disabled) this.#disabling += to === 'inside' ? -1 : 1;
  }

  #endFieldset(): void {
    const fieldset = this.#fieldsets.pop();
    if (fieldset?.disabled === true && fieldset.legend !== 'inside') this.#disabling -= 1;
  }
}

function formOf({ attributes, controls }: FormDraft): HtmlForm {
  const settled = withRadios(controls.sort((a, b) => a.at - b.at).map(({ control }) => control));
  const fields = new Map<string, string>();
  for (const control of settled) {
    if (control.disabled || control.name === '') continue;
    if (control.kind === 'text' || control.kind === 'hidden') fields.set(control.name, control.value);
  }
  return {
    id: attributes.get('id'),
    name: attributes.get('name'),
    action: attributes.get('action'),
    method: attributes.get('method'),
    enctype: attributes.get('enctype'),
    acceptCharset: attributes.get('accept-charset'),
    controls: settled,
    fields,
  };
}
