import { dialImap } from './dial-imap.ts';
import { dialWebmail } from './dial-webmail.ts';
import type { HealthProbes } from './health.ts';

/** Asks real hosts: the webmail for its check's target under the public name, IMAP for its greeting, and leaves politely. */
export function createProbes(publicHost: () => string): HealthProbes {
  return {
    async http({ host, target }, signal) {
      const { status } = await dialWebmail({ ...host.webmail, landing: target }, publicHost(), signal);
      // A 404 is an answer of a living web server, too.
      if (status >= 500) throw new Error(`answered ${status}`);
    },
    async imap({ host }, signal) {
      await dialImap(host.imap, signal);
    },
  };
}
