import { readFile } from 'node:fs/promises';
import type { Log } from '../core/log.ts';
import type { Secret } from '../core/secret.ts';
import { couldNotAsk, type SourceDriver, unknownUser } from './source.ts';
import { fillTemplate, readTemplate } from './template.ts';
import { readMeaning, readValue } from './value.ts';

/** The commands that this source needs. Each settles within the connection's own command timeout. */
export interface RedisReader {
  get(key: string): Promise<string | null>;
  hGet(key: string, field: string): Promise<string | null>;
  close(): void;
}

export interface RedisServer {
  readonly url: string;
  readonly password?: Secret;
  /** PEM certificates of the authorities to trust instead of the system's. */
  readonly ca?: string;
}

/** Makes a connection that heals itself; resolves also while the server is away. */
export type ConnectRedis = (server: RedisServer, log: Log) => Promise<RedisReader>;

/**
 * Redis: a string per user (`key: "home:%u"`), one hash of all users (`key: homes`, `field: "%u"`), or a hash per user
 * (`key: "user:%u"`, `field: backend`).
 */
export const driver: SourceDriver = {
  configure(settings) {
    const url = settings.text('url');
    const password = settings.secret('password');
    const caFile = settings.optionalText('tls_ca_file');
    const key = readTemplate(settings, 'key');
    const field = settings.has('field') ? readTemplate(settings, 'field') : undefined;
    const meaning = readMeaning(settings);
    if (url !== '' && !/^rediss?:\/\/[^/]*[^/@:]+/.test(url))
      settings.problem('url', 'write redis://host:port/database');
    if (URL.parse(url)?.password) settings.problem('url', 'holds a password: write it as password: { file: … }');

    return async ({ label, log, connectRedis }) => {
      if (connectRedis === undefined) throw new Error('there is no client for Redis here');
      const ca = caFile === undefined ? {} : { ca: await readFile(caFile, 'utf8') };
      const redis = await connectRedis({ url, ...ca, ...(password === undefined ? {} : { password }) }, log);
      const read = (key: string, field: string | undefined): Promise<string | null> =>
        field === undefined ? redis.get(key) : redis.hGet(key, field);
      return {
        async ask(name) {
          const value = await read(
            fillTemplate(key, name, (value) => value),
            field === undefined ? undefined : fillTemplate(field, name, (value) => value),
          ).catch((error: unknown) => {
            throw couldNotAsk(`${label}: ${error instanceof Error ? error.message : String(error)}`, error);
          });
          return value === null ? unknownUser : readValue(value, meaning, name);
        },
        async [Symbol.asyncDispose]() {
          redis.close();
        },
      };
    };
  },
};
