import type { Request, RequestHandler, Response } from 'express';
import { recordIfPossible } from '../../core/audit.ts';
import { PosternError } from '../../core/error.ts';
import { staffCookieLine, type StaffSession } from '../../support/staff-sessions.ts';
import { formField, seeOther } from '../forms.ts';
import { ingressOf } from '../request-context.ts';
import { consoleFormBinding, type ConsoleGuardDeps, staleText } from './authorisation.ts';
import { showMessage } from './layout.ts';

/**
 * The console's `/-/logout`. It needs no role, and works without the directory, the audit's disk and the store; the end
 * is written to the store when it is back.
 */
export function createConsoleSignOut({
  sessions,
  tokens,
  audit,
  views,
}: Pick<ConsoleGuardDeps, 'sessions' | 'tokens' | 'audit' | 'views'>): RequestHandler {
  async function found(request: Request): Promise<StaffSession | undefined> {
    try {
      return await sessions.find(request.headers.cookie, ingressOf(request).publicUrl.secure);
    } catch (error) {
      if (error instanceof PosternError) return undefined;
      throw error;
    }
  }

  return async (request: Request, response: Response) => {
    const { publicUrl, client, requestId } = ingressOf(request);
    const key = sessions.named(request.headers.cookie, publicUrl.secure);
    if (key === undefined) return seeOther(response, '/-/login');
    if (!tokens.check(formField(request.body, 'token'), consoleFormBinding({ key }))) {
      const page = { user: undefined, roles: [], token: '', status: 403, title: 'Please try again' };
      return showMessage(views, response, page, staleText);
    }
    const session = await found(request);
    await sessions.end({ key }, 'signed-out', requestId);
    if (session !== undefined) {
      await recordIfPossible(audit, {
        event: 'staff-sign-out',
        actor: session.linkBy ?? session.user,
        address: client.address,
      });
    }
    response.appendHeader('Set-Cookie', staffCookieLine(undefined, publicUrl.secure));
    seeOther(response, '/-/login');
  };
}
