import type { LiveSessions, SessionLookup } from '../core/session.ts';
import type { SessionGate } from './session-gate.ts';

/** Under the host name of the users a mailbox that staff opened is no session, whoever brings its cookie there. */
export function onlyOwnSessions<T extends { readonly live: LiveSessions; readonly gate: SessionGate }>(deps: T): T {
  const { live, gate } = deps;
  return {
    ...deps,
    live: {
      find(cookieField, secure) {
        const found = live.find(cookieField, secure);
        return found instanceof Promise ? found.then(ownOrNone) : ownOrNone(found);
      },
    },
    gate: {
      ...gate,
      current(request) {
        const record = gate.current(request);
        return record?.assist === undefined ? record : undefined;
      },
    },
  };
}

function ownOrNone(found: SessionLookup): SessionLookup {
  return found.kind === 'found' && found.session.record.assist !== undefined
    ? { kind: 'none', rest: found.rest }
    : found;
}
