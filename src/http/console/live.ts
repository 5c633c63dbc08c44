import type { Response } from 'express';
import type { Clock } from '../../core/clock.ts';
import { PosternError } from '../../core/error.ts';
import { includesRole } from '../../core/identity.ts';
import type { StaffSessions } from '../../support/staff-sessions.ts';
import type { Views } from '../views.ts';
import type { GrantOf, StaffExchange, StaffHandler } from './authorisation.ts';
import { tableQueryOf } from './backend-table.ts';
import { backendTableValues, type ConsoleBackendsDeps } from './backends.ts';

/** Parts of a page by name, as HTML, as they are now. */
type RenderParts = () => Promise<Readonly<Record<string, string>>>;

/** Dependencies of the streams. */
export interface LiveStreamsDeps {
  readonly sessions: Pick<StaffSessions, 'isSignedIn'>;
  /** The present grant of the owner of a session. */
  readonly grantOf: GrantOf;
  readonly clock: Clock;
  /** How often a page is renewed. */
  readonly everyMs?: number;
}

/** The open streams of a process. A reload keeps them; what they show follows the configuration in force. */
export interface LiveStreams {
  /** Answers with a stream, or with 429 if there are too many. */
  begin(exchange: StaffExchange, render: RenderParts): void;
  /** Ends all of them and opens no more: this process shuts down, and browsers find another one. */
  close(): void;
}

const most = { perSession: 4, inAll: 100 };
const streamStepMs = 5_000;
/** The directory may be what grants a role: it is asked once a minute. */
const roleEveryMs = 60_000;
/** Browsers open a new one by themselves, which checks everything anew. */
const longestMs = 60 * 60_000;

/** Creates the streams of Server-Sent Events that keep pages of the console up to date. */
export function createLiveStreams(deps: LiveStreamsDeps): LiveStreams {
  return new OpenStreams(deps);
}

class OpenStreams implements LiveStreams {
  readonly #deps: LiveStreamsDeps;
  readonly #open = new Map<Response, { readonly key: string; readonly timer: NodeJS.Timeout }>();
  #isClosed = false;

  constructor(deps: LiveStreamsDeps) {
    this.#deps = deps;
  }

  begin(exchange: StaffExchange, render: RenderParts): void {
    const { response, session } = exchange;
    // The browser may have left while its session was looked up: there is no close to wait for any more.
    if (response.destroyed) return;
    const own = [...this.#open.values()].filter(({ key }) => key === session.key).length;
    if (this.#isClosed || own >= most.perSession || this.#open.size >= most.inAll) {
      response
        .status(this.#isClosed ? 503 : 429)
        .type('text')
        .end('Too many pages of the console are live.\n');
      return;
    }
    response.status(200).setHeader('Content-Type', 'text/event-stream; charset=utf-8');
    // A proxy in front must not collect the stream.
    response.setHeader('X-Accel-Buffering', 'no');
    response.flushHeaders();
    if (exchange.request.method === 'HEAD') return void response.end();
    response.write('retry: 5000\n\n');
    const renew = this.#renewal(exchange, render);
    const timer = setInterval(() => void renew(), this.#deps.everyMs ?? streamStepMs).unref();
    this.#open.set(response, { key: session.key, timer });
    response.once('close', () => {
      clearInterval(timer);
      this.#open.delete(response);
    });
    void renew();
  }

  close(): void {
    this.#isClosed = true;
    for (const [response, { timer }] of this.#open) {
      clearInterval(timer);
      response.end();
    }
  }

  /** Returns what renews a page once. It sends only what has changed, and nothing to a browser that is slow to read. */
  #renewal({ response, session, gone }: StaffExchange, render: RenderParts): () => Promise<void> {
    const { sessions, grantOf, clock } = this.#deps;
    const beganMs = clock.nowMs();
    const sent = new Map<string, string>();
    let roleCheckedMs = beganMs;
    let isRunning = false;

    /** Rejects if it could not be asked, which is not "no". */
    async function mayGoOn(): Promise<boolean> {
      if (!(await sessions.isSignedIn(session.key))) return false;
      const nowMs = clock.nowMs();
      if (nowMs - roleCheckedMs < roleEveryMs) return true;
      const grant = await grantOf(session, gone);
      roleCheckedMs = nowMs;
      return grant !== undefined && includesRole(grant.roles, 'viewer');
    }

    async function renew(): Promise<void> {
      if (clock.nowMs() - beganMs > longestMs) return void response.end();
      if (!(await mayGoOn())) return void response.end(eventText('ended', ''));
      if (response.writableNeedDrain) return;
      const fresh = Object.entries(await render()).filter(([name, html]) => sent.get(name) !== html);
      for (const [name, html] of fresh) sent.set(name, html);
      if (!response.writableEnded)
        response.write(fresh.length === 0 ? ':\n\n' : fresh.map(([name, html]) => eventText(name, html)).join(''));
    }

    return async () => {
      if (isRunning || response.destroyed || response.writableEnded) return;
      isRunning = true;
      try {
        await renew();
      } catch (error) {
        // What cannot be checked or read now is shown at the next turn.
        if (!(error instanceof PosternError)) response.destroy();
      } finally {
        isRunning = false;
      }
    };
  }
}

function eventText(name: string, html: string): string {
  return `event: ${name}\ndata: ${html.replace(/\s*\n\s*/g, ' ')}\n\n`;
}

/** `/-/backends/live`: the table of backends as a stream, for the script of its page. */
export function createConsoleLive(
  deps: ConsoleBackendsDeps & { readonly streams: LiveStreams; readonly views: Views },
): StaffHandler {
  const locale = deps.views.locales.choose('en', undefined);
  return (exchange) => {
    const query = tableQueryOf(exchange.request.url);
    deps.streams.begin(exchange, async () => {
      const values = { ...(await backendTableValues(deps, query)), query };
      const frame = { locale, title: '' };
      return {
        rows: deps.views.render('console-backend-rows', frame, values),
        strip: deps.views.render('console-backend-strip', frame, values),
      };
    });
  };
}
