import request, { type Response } from 'supertest';
import type { Fixture } from './http.fixture.ts';

/** The sign-in page as a browser has it open: its cookies and the token of its form. */
export interface OpenPage {
  readonly cookie: string;
  readonly token: string;
}

/** Opens the sign-in page, with the cookies that the browser has already. */
export async function openLogin(fixture: Fixture, target = '/-/login', cookie = ''): Promise<OpenPage> {
  const reply = await request(fixture.server).get(target).set('Cookie', cookie);
  return { cookie: withCookies(cookie, reply), token: tokenIn(reply.text) };
}

/** Sends the form of an open page as a browser does over HTTPS. */
export function submitLogin(
  fixture: Fixture,
  page: OpenPage,
  fields: Readonly<Record<string, string>> = {},
  options: {
    readonly target?: string;
    readonly headers?: Readonly<Record<string, string>>;
    /** Headers in which the browser tells of the page that the form is on. */
    readonly initiator?: Readonly<Record<string, string>>;
  } = {},
) {
  const form = new URLSearchParams({ user: 'alice', password: 'right', token: page.token, ...fields });
  return request(fixture.server)
    .post(options.target ?? '/-/login')
    .set('Cookie', page.cookie)
    .set('Content-Type', 'application/x-www-form-urlencoded')
    .set({ ...(options.initiator ?? { 'Sec-Fetch-Site': 'same-origin' }) })
    .set({ ...options.headers })
    .send(form.toString());
}

/** The cookies of a browser after a reply: those that it had, and those that were set. */
export function withCookies(cookie: string, reply: Response): string {
  const pairs = new Map<string, string>();
  for (const pair of [...cookie.split('; '), ...setCookies(reply).map((line) => line.split(';')[0] ?? '')]) {
    if (pair !== '') pairs.set(pair.slice(0, pair.indexOf('=')), pair);
  }
  return [...pairs.values()].join('; ');
}

export function setCookies(reply: Response): string[] {
  return reply.get('Set-Cookie') ?? [];
}

export function tokenIn(html: string): string {
  return /name="token" value="([^"]*)"/.exec(html)?.[1] ?? '';
}
