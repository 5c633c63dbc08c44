import { textOrNumber } from '../../schema/scalars.ts';
import { defineSource, sourceSettings } from '../settings.ts';

/**
 * One backend for every user: for a site with one backend, or, last in the chain, for users whom no other source knows.
 */
export const driver = defineSource({
  about: 'One backend for every user whom no earlier source knows.',
  settings: sourceSettings({
    backend: textOrNumber('the name of a backend', 'write the name of a backend').describe('The backend.'),
  }),
  create(settings, deps) {
    const { backend } = settings;

    if (deps.findHome(backend) === undefined) throw new Error(`there is no backend ${backend}`);
    return {
      isLocal: true,
      ask: () => Promise.resolve({ kind: 'found', home: backend, byDefault: true }),
      async [Symbol.asyncDispose]() {},
    };
  },
});
