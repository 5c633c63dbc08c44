import type { SourceDriver } from '../source.ts';

/**
 * One backend for everybody who is asked for: for a site with one backend, or, last in the chain, for unknown users.
 */
export const driver: SourceDriver = {
  configure(settings) {
    const backend = settings.text('backend');
    return (deps) => {
      if (deps.findHome(backend) === undefined) throw new Error(`there is no backend ${backend}`);
      return {
        isLocal: true,
        ask: () => Promise.resolve({ kind: 'found', home: backend, byDefault: true }),
        async [Symbol.asyncDispose]() {},
      };
    };
  },
};
