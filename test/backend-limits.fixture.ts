import type { BackendLimits } from '../src/core/backend.ts';

/** The limits of a backend with its defaults, for tests that are not about them. */
export const backendLimits: BackendLimits = {
  imapConnectMs: 3000,
  imapGreetingMs: 3000,
  imapAuthMs: 8000,
  webmailConnectMs: 3000,
  webmailFirstByteMs: 180_000,
  webmailKeepAliveMs: 4000,
  connections: 256,
  queue: 512,
  queueMs: 5000,
  connectionsPerUser: 64,
  upgradesPerSession: 20,
};
