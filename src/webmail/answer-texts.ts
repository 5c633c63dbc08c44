import type { RequestHead } from '../core/http.ts';

type Texts<Key extends string> = Readonly<Record<Key, string>>;

/** In the language of the browser, the texts that stand in a webmail's own answers. */
export function textsFor<Key extends string>(
  request: RequestHead,
  texts: Readonly<Record<'en' | 'de', Texts<Key>>>,
): Texts<Key> {
  return /^\s*de\b/i.test(request.header('accept-language') ?? '') ? texts.de : texts.en;
}
