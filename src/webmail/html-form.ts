import { parse } from 'parse5';
import type { DefaultTreeAdapterTypes } from 'parse5';

type Node = DefaultTreeAdapterTypes.Node;
type Element = DefaultTreeAdapterTypes.Element;

/** A form of a page, as a browser would send it: hidden and prefilled inputs in document order. */
export interface HtmlForm {
  /** As it stands in the page; nothing when the form has none. */
  readonly action: string | undefined;
  readonly fields: ReadonlyMap<string, string>;
}

/** Input types that a browser sends only when they were used. */
const unsent: ReadonlySet<string> = new Set(['submit', 'image', 'button', 'reset', 'file', 'checkbox', 'radio']);

/** The first form of a page that `isWanted`, or nothing. */
export function findForm(html: string, isWanted: (form: HtmlForm) => boolean): HtmlForm | undefined {
  for (const form of elements(parse(html), 'form')) {
    const fields = new Map<string, string>();
    for (const input of elements(form, 'input')) {
      const name = attribute(input, 'name');
      const type = attribute(input, 'type')?.toLowerCase() ?? 'text';
      const disabled = attribute(input, 'disabled') !== undefined;
      if (name !== undefined && !disabled && !unsent.has(type)) fields.set(name, attribute(input, 'value') ?? '');
    }
    const found = { action: attribute(form, 'action'), fields };
    if (isWanted(found)) return found;
  }
  return undefined;
}

function* elements(node: Node, tagName: string): Generator<Element> {
  if (!('childNodes' in node)) return;
  for (const child of node.childNodes) {
    if ('tagName' in child && child.tagName === tagName) yield child;
    yield* elements(child, tagName);
  }
}

function attribute(element: Element, name: string): string | undefined {
  return element.attrs.find((each) => each.name === name)?.value;
}
