import type { RequestHandler } from 'express';
import type { Log } from '../core/log.ts';
import { ingressOf } from './ingress-of.ts';
import type { SessionGate } from './session-gate.ts';

/**
 * Loads the session of the browser. A store that cannot be asked is no reason to show no page: whoever needs the
 * session then finds none, and the sign-in itself asks the store before it tries a password.
 */
export function createLoadSession(gate: SessionGate, log: Log): RequestHandler {
  const overHttps = gate.middleware(true);
  const overHttp = gate.middleware(false);
  return async (request, response, next) => {
    const load = ingressOf(request).publicUrl.secure ? overHttps : overHttp;
    await load(request, response, (error?: unknown) => {
      if (error !== undefined) log.debug({ err: error }, 'the session could not be read');
      next();
    });
  };
}
