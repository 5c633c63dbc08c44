import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { BackendHost } from '../../src/core/backend.ts';
import { hostWith } from './scripted-exchange.fixture.ts';

const documented = readFileSync(new URL('../../docs/webmails/form.md', import.meta.url), 'utf8');

/** A webmail as docs/webmails/form.md describes it. */
export interface Example {
  readonly host: BackendHost;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** The settings that the page gives for a webmail, as an operator would copy them. */
export function exampleOf(webmail: string): Example {
  const text = documented.split('\n### ').find((part) => part.startsWith(webmail));
  const block = /```yaml\n(.*?)```/s.exec(text ?? '')?.[1];
  assert.ok(block !== undefined, `no example of ${webmail}`);
  const { backends }: { backends: Record<string, { webmail: string; driver: string; form: Example['settings'] }> } =
    parse(block);
  const [backend] = Object.values(backends);
  assert.equal(backend?.driver, 'form');
  const { origin, pathname } = new URL(backend.webmail);
  return { host: hostWith(pathname, origin), settings: backend.form };
}
