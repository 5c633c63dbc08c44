import { randomInt } from 'node:crypto';
import { after, before } from 'node:test';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { startChromium } from '../chromium.fixture.ts';
import { type GatewayNode, startCluster } from '../lab/gateway-node.ts';
import type { Lab } from '../lab/lab.ts';
import { startRedisServer } from '../redis-server.fixture.ts';
import { Person } from './person.fixture.ts';

/** A gateway with Redis in front of the lab, for people who each have their own Chromium. */
export interface Site {
  /** The address that the people type. */
  readonly origin: string;
  /** Opens a browser without cookies. */
  visitor(options?: BrowserContextOptions): Promise<Person>;
}

/**
 * Starts the site before the tests of a suite, and ends all of it after them. `sessions`: further settings of those.
 */
export function useSite(lab: Lab, sessions = ''): Site {
  const started = new AsyncDisposableStack();
  let node: GatewayNode;
  let browser: Browser;
  before(async () => {
    const redis = started.use(await startRedisServer());
    const cluster = started.use(await startCluster({ lab, redisUrl: redis.url, nodes: 1, sessions }));
    const [first] = cluster.nodes;
    if (first === undefined) throw new TypeError('a cluster of one has a node');
    node = first;
    browser = await startChromium();
    started.defer(() => browser.close());
  });
  after(() => started.disposeAsync());
  return {
    get origin() {
      return node.origin;
    },
    async visitor(options = {}) {
      const context = await browser.newContext({
        viewport: { width: 1280, height: 800 },
        locale: 'en-GB',
        timezoneId: 'Europe/Berlin',
        baseURL: node.origin,
        // The address, as from a load balancer: each person has a separate network, so no penalty hits another.
        extraHTTPHeaders: {
          'x-forwarded-for': `10.${randomInt(256)}.${randomInt(256)}.7`,
          'x-forwarded-proto': 'http',
        },
        ...options,
      });
      context.setDefaultTimeout(15_000);
      return new Person(context, await context.newPage());
    },
  };
}
