import type { KeyObject } from 'node:crypto';
import type { Express } from 'express';
import type { Audit } from '../../core/audit.ts';
import type { Clock } from '../../core/clock.ts';
import { includesRole } from '../../core/identity.ts';
import { createMethodNotAllowed, createOwnApp, type ErrorPageDeps, type Pages, type ProblemPage } from '../app.ts';
import { createFormBody, createFormTokens, seeOther } from '../forms.ts';
import { createConsoleAudit } from './audit.ts';
import { type ConsoleGuardDeps, createConsoleGuard, createOwnOriginOnly } from './authorisation.ts';
import { type ConsoleBackends, createConsoleBackends } from './backends.ts';
import { renderConsoleProblem } from './layout.ts';
import { createConsoleLive, type LiveStreams } from './live.ts';
import { type ConsoleLoginDeps, createConsoleLogin, createLinkLogin } from './login.ts';
import { createConsoleSignOut } from './logout.ts';
import { type ConsoleMoves, createConsoleMoves } from './moves.ts';
import { type ConsoleNodes, createConsoleNodes } from './nodes.ts';
import { type ConsoleOpenedDeps, createConsoleOpened } from './opened-mailboxes.ts';
import { type ConsolePenalties, createConsolePenalties } from './penalties.ts';
import { type ConsoleFactorDeps, createConsoleFactor } from './second-factor.ts';
import { type ConsoleSessions, createConsoleSessions } from './sessions.ts';
import { type ConsoleStatistics, createConsoleStatistics } from './statistics.ts';
import { type ConsoleUsersDeps, createConsoleUsers } from './users.ts';

/** Dependencies of all pages of the console. */
export type ConsolePagesDeps = Omit<
  ErrorPageDeps & ConsoleGuardDeps & ConsoleLoginDeps & ConsoleFactorDeps & ConsoleUsersDeps & ConsoleOpenedDeps,
  'tokens'
> & {
  readonly backends: ConsoleBackends;
  readonly streams: LiveStreams;
  readonly sessionControl: ConsoleSessions;
  readonly penalties: ConsolePenalties;
  readonly moves: ConsoleMoves;
  readonly nodes: ConsoleNodes;
  readonly statistics: ConsoleStatistics;
  readonly audit: Audit;
  readonly clock: Clock;
  /** Keys that all nodes share: the first signs forms, all verify. */
  readonly formKeys: () => readonly KeyObject[];
};

/** Builds the console of the staff: everything under its host name. It owns no timer and no socket. */
export function createConsolePages(deps: ConsolePagesDeps): Pages {
  const english = deps.views.locales.choose('en', undefined);
  const notFound = { title: english.text('notFound.title'), text: english.text('notFound.text') };
  const renderProblem = (page: ProblemPage) =>
    // The console speaks English, whatever the browser asks for.
    renderConsoleProblem(deps.views, page.link === undefined ? page : { ...page, ...notFound });
  return createOwnApp({ ...deps, renderProblem }, (app) => addConsoleRoutes(app, deps));
}

/** Adds every route of the console, each with the role that it requires. */
export function addConsoleRoutes(app: Express, deps: ConsolePagesDeps): void {
  const parts = { ...deps, tokens: createFormTokens(deps.formKeys, deps.clock) };
  const signIn = createConsoleLogin(parts);
  const byLink = createLinkLogin(parts);
  const factor = createConsoleFactor(parts);
  const users = createConsoleUsers(parts);
  const opened = createConsoleOpened(parts);
  const backends = createConsoleBackends(parts);
  const sessions = createConsoleSessions({ ...parts, sessions: deps.sessionControl });
  const penalties = createConsolePenalties(parts);
  const moves = createConsoleMoves(parts);
  const nodes = createConsoleNodes(parts);
  const audit = createConsoleAudit(parts);
  const guard = createConsoleGuard(parts);
  const form = createFormBody();
  const longForm = createFormBody(64 * 1024);
  const [half, whole] = [{ step: 'password' }, { step: 'second-factor' }] as const;
  const support = { ...whole, role: 'support' } as const;
  const operator = { ...whole, role: 'operator' } as const;
  const viewer = { ...whole, role: 'viewer' } as const;
  const auditor = { ...whole, role: 'auditor' } as const;

  app.use(createOwnOriginOnly());
  app.get('/', (_request, response) => seeOther(response, '/-/'));
  app.get(
    '/-/',
    guard(whole, ({ staff, response }) => seeOther(response, homeOf(staff.roles))),
  );

  app.get('/-/login', signIn.show);
  app.post('/-/login', form, signIn.submit);
  app.get('/-/link', byLink.show);
  app.post('/-/link', form, byLink.submit);
  app.get('/-/factor', guard(half, factor.show));
  app.post('/-/factor', form, guard(half, factor.submit));
  app.get('/-/enrol', guard(half, factor.showEnrol));
  app.post('/-/enrol', form, guard(half, factor.submitEnrol));

  app.get('/-/users', guard(support, users.show));
  app.post('/-/users', form, guard(support, users.submit));
  app.get('/-/opened', guard(support, opened.show));
  app.post('/-/opened', form, guard(support, opened.stop));
  app.get('/-/backends', guard(viewer, backends.showAll));
  app.get('/-/backends/live', guard(viewer, createConsoleLive(parts)));
  app.get('/-/backend', guard(viewer, backends.showOne));
  app.post('/-/backend', longForm, guard(operator, backends.submit));
  app.get('/-/sessions', guard(viewer, sessions.show));
  app.post('/-/sessions', form, guard(operator, sessions.submit));
  app.get('/-/moves', guard(viewer, moves.show));
  app.get('/-/moves/live', guard(viewer, moves.follow));
  app.post('/-/moves', form, guard(operator, moves.submit));
  app.get('/-/penalties', guard(viewer, penalties.show));
  app.post('/-/penalties', form, guard(operator, penalties.submit));
  app.get('/-/nodes', guard(viewer, nodes.showAll));
  app.get('/-/statistics', guard(viewer, createConsoleStatistics(parts)));
  app.get('/-/route', guard(viewer, nodes.showRoute));

  app.get('/-/audit', guard(auditor, audit.show));
  app.get('/-/audit.csv', guard(auditor, audit.export));

  app.post('/-/logout', form, createConsoleSignOut(parts));
  const read = ['/', '/-/', '/-/audit', '/-/audit.csv', '/-/backends', '/-/backends/live', '/-/moves/live'];
  for (const path of [...read, '/-/nodes', '/-/statistics', '/-/route'])
    app.all(path, createMethodNotAllowed('GET, HEAD'));
  const forms = ['login', 'link', 'factor', 'enrol', 'users', 'opened', 'backend', 'sessions', 'moves', 'penalties'];
  for (const path of forms) app.all(`/-/${path}`, createMethodNotAllowed('GET, HEAD, POST'));
  app.all('/-/logout', createMethodNotAllowed('POST'));
}

/** The first page of a member of staff. */
function homeOf(roles: readonly string[]): string {
  if (roles.includes('support')) return '/-/users';
  return includesRole(roles, 'viewer') ? '/-/backends' : '/-/audit';
}
