/** Attributes of an element, by their names. */
export type Attributes = ReadonlyMap<string, string>;

interface NamedControl {
  /** Empty for a control without a name, of which only a button matters. */
  readonly name: string;
  readonly disabled: boolean;
}

/** The parts of a form. */
export type HtmlControl = NamedControl &
  (
    | { readonly kind: 'text' | 'hidden' | 'textarea'; readonly value: string }
    | { readonly kind: 'checkbox' | 'radio'; readonly value: string; readonly checked: boolean }
    | { readonly kind: 'select'; readonly values: readonly string[] }
    | { readonly kind: 'file' }
    | HtmlButton
  );

/** A control that submits a form. Its own action, method and enctype go before those of the form. */
export interface HtmlButton extends NamedControl {
  readonly kind: 'button' | 'image';
  readonly value: string;
  readonly action: string | undefined;
  readonly method: string | undefined;
  readonly enctype: string | undefined;
}

/** An option of a list, as it was read so far. */
export interface Option {
  readonly selected: boolean;
  readonly disabled: boolean;
  readonly value: string | undefined;
  text: string;
}

/** The name of a control; empty if it has none. */
export function nameOf(attributes: Attributes): string {
  return attributes.get('name') ?? '';
}

/** An input; undefined for one that sends nothing and does nothing that we could do. */
export function inputOf(attributes: Attributes, disabled: boolean): HtmlControl | undefined {
  const name = nameOf(attributes);
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

/** A `<button>`; undefined for one that does not submit. */
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
    name: nameOf(attributes),
    disabled,
    value: attributes.get('value') ?? valueWithout,
    action: attributes.get('formaction'),
    method: attributes.get('formmethod'),
    enctype: attributes.get('formenctype'),
  };
}

/** The chosen options of a list. If the page chose none, a list of a single line has its first option. */
export function valuesOf(attributes: Attributes, options: readonly Option[]): readonly string[] {
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

/** One radio button of a name: the last that the page checked. */
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
