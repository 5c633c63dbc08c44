import { dialImap } from './dial-imap.ts';
import { dialWebmail, readWebmail } from './dial-webmail.ts';
import type { HealthProbes } from './health.ts';

/** Asks real hosts: the webmail for its check's target under the public name, IMAP for its greeting, and leaves politely. */
export function createProbes(publicHost: () => string): HealthProbes {
  return {
    async http({ host, target }, signal) {
      const webmail = { ...host.webmail, landing: target };
      let { status } = await dialWebmail(webmail, publicHost(), signal, 'HEAD');
      // It does not know the method (RFC 9110, 15.6.2), which says nothing of how it is.
      if (status === 501) ({ status } = await dialWebmail(webmail, publicHost(), signal));
      // A 404 is an answer of a living web server, too.
      if (status >= 500) throw new Error(`answered ${status}`);
    },
    async page({ webmail }, signal) {
      const { status } = await readWebmail(webmail, publicHost(), signal);
      if (status >= 500) throw new Error(`answered ${status}`);
    },
    async imap({ host }, signal) {
      await dialImap(host.imap, signal);
    },
  };
}
