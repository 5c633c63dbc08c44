import type { Response } from 'express';
import { isoTime } from '../../core/clock.ts';
import type { FailureSource } from '../../core/error.ts';
import type { ProblemPage } from '../app.ts';
import type { TextKey } from '../locales.ts';
import type { Views } from '../views.ts';
import { agoText } from './backend-table.ts';

/** The frame of every page of the console. */
export interface ConsoleFrame {
  /** Undefined before the sign-in. */
  readonly user: string | undefined;
  /** The roles whose pages are in the menu. */
  readonly roles: readonly string[];
  /** The token for the forms of this page. */
  readonly token: string;
}

/** A page of the console: its frame, its title and, if it reports a problem, its status. */
interface ConsolePage extends ConsoleFrame {
  readonly title: string;
  readonly status?: number;
  /** Whether a script of the page follows a stream of ours. */
  readonly isLive?: boolean;
}

type ConsoleView = Extract<Parameters<Views['render']>[0], `console-${string}`>;

/** What a page shows within its frame. A value by the name of one of the frame's would hide who is signed in. */
type PageValues = Readonly<Record<string, unknown>> & { readonly [Name in keyof ConsoleFrame]?: never };

/** Shows a page of the console. The console speaks English. */
export function showPage(
  views: Views,
  response: Response,
  { title, status = 200, isLive = false, ...frame }: ConsolePage,
  [name, values]: readonly [ConsoleView, PageValues],
): void {
  const locale = views.locales.choose('en', undefined);
  response.status(status).type('html');
  const policy = response.getHeader('Content-Security-Policy');
  if (isLive) response.setHeader('Content-Security-Policy', `${String(policy)};connect-src 'self'`);
  response.end(views.render(name, { locale, title }, { ...values, ...frame, time: timeText }));
}

/** Renders a problem of any path of the console's host: a page that is not there, or a request that is none. */
export function renderConsoleProblem(views: Views, { title, text, reference }: ProblemPage): string {
  const locale = views.locales.choose('en', undefined);
  const values = { user: undefined, roles: [], token: '', text, reference };
  return views.render('console-message', { locale, title }, values);
}

/** A page that only says something. */
export function showMessage(
  views: Views,
  response: Response,
  page: ConsolePage,
  text: string,
  reference?: string,
): void {
  showPage(views, response, page, ['console-message', { text, reference }]);
}

/** A time in UTC, which staff in different places can compare. */
export function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** Writes the end of something as HTML: in how long from now, and the time in UTC where a pointer rests on it. */
export function endText(nowMs: number): (ms: number) => string {
  return (ms) => {
    const words = ms > nowMs ? `in ${agoText(ms - nowMs)}` : 'over';
    return `<time datetime="${isoTime(ms)}" title="${timeText(ms)}">${words}</time>`;
  };
}

/** The text key of the part that failed, as staff know it. */
export function sourceKeyOf(source: FailureSource): TextKey {
  return source === 'client' || source === 'config' ? 'support.source.gateway' : `support.source.${source}`;
}
