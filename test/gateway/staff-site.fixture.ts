import assert from 'node:assert/strict';
import { type AuthenticatorApp, enrol } from '../../demo/second-factor.ts';
import { staffHosts } from '../../demo/configuration.ts';
import { sam } from '../../demo/people.ts';
import { openApi } from '../../src/cli/api-client.ts';
import { type StaffBrowser, staffBrowser } from '../http/console.fixture.ts';
import { type RunningGateway, startRunning } from './running.fixture.ts';

/** A running gateway with a console, to which sam has a second factor. */
export interface StaffSite extends AsyncDisposable {
  readonly gateway: RunningGateway;
  /** Where staff sign in, and where opened mailboxes are shown. */
  readonly hosts: { readonly console: string; readonly assist: string };
  /** A code of sam's app that was not used yet: of this half minute, or of the next one, which counts already. */
  code(): string;
  /** Signs sam in to the console. */
  signIn(): Promise<StaffBrowser>;
}

/** Starts it, with `prepare` to change the configuration first. */
export async function startStaffSite(prepare?: (yaml: string) => string): Promise<StaffSite> {
  const gateway = await startRunning(prepare, { hasStaff: true });
  try {
    const hosts = staffHosts(gateway.port);
    const app = await enrol(sam, hosts.console, await openApi(gateway.configFile, { env: process.env }));
    const code = codesOf(app);
    return {
      gateway,
      hosts,
      code,
      async signIn() {
        const browser = staffBrowser({ server: gateway.origin, origin: hosts.console });
        await browser.get('/-/login');
        await browser.post('/-/login', { user: sam.address, password: sam.password });
        await browser.get('/-/factor');
        const reply = await browser.post('/-/factor', { code: code() });
        assert.equal(reply.headers['location'], '/-/', reply.text);
        return browser;
      },
      [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
    };
  } catch (error) {
    await gateway[Symbol.asyncDispose]();
    throw error;
  }
}

function codesOf(app: AuthenticatorApp): () => string {
  const used = new Set<string>();
  return () => {
    const { current, next } = app.codes(Date.now());
    const fresh = used.has(current) ? next : current;
    assert.ok(!used.has(fresh), 'there are two fresh codes in a half minute');
    used.add(fresh);
    return fresh;
  };
}
