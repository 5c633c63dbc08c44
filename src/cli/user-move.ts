import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { systemClock } from '../core/clock.ts';
import { isObject } from '../core/objects.ts';
import { type ApiReply, type AskApi, cell, mailEndCode, openApi, refusalCode, rowsIn } from './api-client.ts';
import type { CommandEnvironment } from './environment.ts';
import { whyUnread } from './named-arguments.ts';
import {
  configOption,
  type ExitCode,
  exitCodes,
  type ListFormat,
  listFormatOption,
  reasonOption,
  withExamples,
} from './options.ts';
import { amount, type Cell, createProgress, listText, timeCell } from './output.ts';
import { addLocks } from './user-lock.ts';

interface MoveOptions {
  readonly config: string;
  readonly reason: string;
  readonly to?: string;
  readonly file?: string;
  readonly rate: number;
  readonly undo?: true;
  readonly dryRun?: true;
  readonly atSignIn?: true;
}

interface Order {
  readonly user: string;
  readonly to: string;
  /** Its line in the file; undefined if it is from the command line. */
  readonly place?: string;
}

/** `postern user move` and `postern move`: moving users to other backends, one or many, and what became of it. */
export function addMoves(program: Command, environment: CommandEnvironment, end: (code: ExitCode) => void): void {
  const { print, complain } = environment;
  const user = program.command('user').summary('move users to other backends, or lock them out');
  user
    .command('move')
    .summary('move one user, or all users in a file')
    .argument('[user]', 'a user name, as typed at sign-in')
    .option('--to <backend>', 'the new backend; with --file, for lines that name none')
    .option('--file <file>', 'lines of USER or USER BACKEND; # begins a comment')
    .addOption(new Option('--rate <number>', 'moves per minute, at most').default(60).argParser(Number))
    .option('--undo', 'move the users back to where they came from')
    .option('--dry-run', 'only show what would be done')
    .option('--at-sign-in', 'move each user at the next sign-in')
    .addOption(reasonOption())
    .addOption(configOption())
    .action(async (name: string | undefined, options: MoveOptions) => {
      const orders = await readOrders(name, options);
      if (typeof orders === 'string') {
        complain(orders);
        return end(exitCodes.invalid);
      }
      const ask = await openApi(options.config, environment);
      const refused = await refusalOfBackends(orders, ask, environment);
      if (refused !== undefined) return end(refused);
      end(await moveAll(orders, options, ask, environment));
    });
  addLocks(user, environment, end);
  withExamples(user, [
    ['postern user move alice --to b --reason "a is full"', 'move alice now; open sessions follow'],
    ['postern user move alice --to b --reason test --dry-run', 'show what would be done'],
    [
      'postern user move --file moves.txt --rate 30 --reason migration',
      'move many; to continue after an interrupt, run it again',
    ],
    ['postern user move --file moves.txt --undo --reason "roll back"', 'move them all back'],
    ['postern user lock alice --reason "sends spam" --until 7d', 'nobody signs in as alice any more'],
    ['postern user locks', 'who is locked'],
  ]);

  const move = program.command('move').summary('show or cancel moves');
  move
    .command('status')
    .summary('show the last move of each user, where it stands and what to do')
    .argument('[user]', 'only this user')
    .option('--phase <phase>', 'only moves in this phase, such as failed or waiting')
    .addOption(configOption())
    .addOption(listFormatOption())
    .action(async (name: string | undefined, options: { config: string; format: ListFormat; phase?: string }) => {
      const ask = await openApi(options.config, environment);
      const query = options.phase === undefined ? '' : `?phase=${encodeURIComponent(options.phase)}`;
      const reply =
        name === undefined
          ? await ask('GET', `/moves${query}`)
          : await ask('GET', `/users/${encodeURIComponent(name)}`);
      const refused = refusalCode(reply, complain);
      if (refused !== undefined) return end(refused);
      const rows = rowsIn(name === undefined ? reply.body['moves'] : [reply.body['move']]);
      const list = { headings: moveHeadings, rows: rows.map(moveCells), body: rows };
      print(listText(list, options.format, environment));
      end(exitCodes.ok);
    });
  move
    .command('stop')
    .summary('cancel a move that waits for a sign-in or stopped before the switch')
    .argument('<user>', 'a user name, as typed at sign-in')
    .addOption(reasonOption())
    .addOption(configOption())
    .action(async (name: string, { config, reason }: { config: string; reason: string }) => {
      const ask = await openApi(config, environment);
      const reply = await ask('DELETE', `/users/${encodeURIComponent(name)}/move`, { reason });
      const refused = refusalCode(reply, complain);
      if (refused === undefined) print(`${cell(reply.body['explanation'])}\n`);
      end(refused ?? exitCodes.ok);
    });
}

/** The moves that the command line asks for, or what is wrong with it or with a line of the file. */
async function readOrders(name: string | undefined, options: MoveOptions): Promise<readonly Order[] | string> {
  const { to, file, undo, rate } = options;
  const usage = 'Name a user and --to BACKEND, or --file FILE; a rate is a number above 0.\n';
  if (!(rate > 0) || (file === undefined) === (name === undefined)) return usage;
  if (name !== undefined) return to === undefined && undo !== true ? usage : [{ user: name, to: to ?? '' }];
  const unread = await whyUnread(file ?? '');
  if (unread !== undefined) return unread;
  const orders: Order[] = [];
  for (const [index, text] of (await readFile(file ?? '', 'utf8')).split('\n').entries()) {
    const [user = '', own, ...others] = text.replace(/#.*/, '').trim().split(/\s+/);
    if (user === '') continue;
    const place = `${file}:${index + 1}`;
    if (others.length > 0 || (own === undefined && to === undefined && undo !== true)) {
      return `${place}: write USER BACKEND, or USER alone and --to BACKEND; nobody was moved\n`;
    }
    orders.push({ user, to: own ?? to ?? '', place });
  }
  return orders.length === 0 ? `${file} names no user: write lines of USER BACKEND\n` : orders;
}

/** Refuses moves to a backend that does not exist, before the first user is moved; undefined if all exist. */
async function refusalOfBackends(
  orders: readonly Order[],
  ask: AskApi,
  { complain }: CommandEnvironment,
): Promise<ExitCode | undefined> {
  const reply = await ask('GET', '/backends');
  const refused = refusalCode(reply, complain);
  if (refused !== undefined) return refused;
  const names = rowsIn(reply.body['backends']).map(({ name }) => cell(name));
  const wrong = orders.filter(({ to }) => to !== '' && !names.includes(to));
  for (const { place, to } of wrong) {
    complain(`${place === undefined ? '' : `${place}: `}there is no backend ${to}: there are ${names.join(', ')}\n`);
  }
  return wrong.length === 0 ? undefined : exitCodes.no;
}

/** Moves users one after the other, at most at the given rate. An interrupt ends it between two moves. */
async function moveAll(
  orders: readonly Order[],
  options: MoveOptions,
  ask: AskApi,
  environment: CommandEnvironment,
): Promise<ExitCode> {
  const { print, complain, signals } = environment;
  const progress = createProgress(environment, systemClock, { total: orders.length });
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  signals.on('SIGINT', interrupt);
  let code: ExitCode = exitCodes.ok;
  let done = 0;
  const sums = new Map<string, number>();
  try {
    for (const order of orders) {
      if (done > 0) await pause(60_000 / options.rate, interrupted.signal);
      if (interrupted.signal.aborted) break;
      const reply = await moveOne(order, options, ask);
      done += 1;
      progress.end();
      const refused = refusalCode(reply, (text) => complain(`${order.user}: ${text}`));
      if (refused !== undefined) code = refused;
      else {
        print(`${done}/${orders.length} ${order.user}: ${said(reply)}\n`);
        const mailCode = mailEndCode(reply.body['mail'], (text) => complain(`${order.user}: ${text}`));
        if (mailCode !== exitCodes.ok) code = mailCode;
      }
      const sum = refused === undefined ? sumOf(reply) : 'not moved';
      sums.set(sum, (sums.get(sum) ?? 0) + 1);
      progress.count(done);
    }
  } finally {
    signals.off('SIGINT', interrupt);
    progress.end();
  }
  if (orders.length > 1) {
    const each = [...sums].map(([sum, count]) => `${amount(count)} ${sum}`).join(', ');
    print(`${amount(done)} of ${amount(orders.length)} users: ${each}.\n`);
  }
  if (done === orders.length) return code;
  complain(
    `Stopped after ${done} of ${orders.length}. Run the same command again to continue, or with --undo to move back.\n`,
  );
  return exitCodes.no;
}

async function moveOne({ user, to }: Order, options: MoveOptions, ask: AskApi): Promise<ApiReply> {
  const path = `/users/${encodeURIComponent(user)}`;
  const { reason, undo, dryRun: dry_run, atSignIn: at_sign_in } = options;
  const known = undo === true ? await ask('GET', path) : undefined;
  if (known !== undefined && known.status >= 400) return known;
  const move = known?.body['move'];
  const from = typeof move === 'object' && move !== null && 'from' in move ? cell(move.from) : undefined;
  if (undo === true && from === undefined) return { status: 200, body: { outcome: 'was never moved' } };
  // A user who was moved back already must not be moved again.
  if (undo === true && to !== '' && known?.body['backend'] !== to) {
    return { status: 200, body: { outcome: `lives on ${cell(known?.body['backend'])}: left alone` } };
  }
  return ask('POST', `${path}/move`, { to: from ?? to, reason, dry_run, at_sign_in });
}

function said({ body }: ApiReply): string {
  const { outcome, from, to, before, after, mail } = body;
  if (outcome !== 'planned') {
    const ended = isObject(mail) ? `; mail connections ended: ${cell(mail['ended'])}` : '';
    return `${cell(outcome)}${from === undefined ? '' : `, ${cell(from)} → ${cell(to)}`}${ended}`;
  }
  const hooks = [before, after].filter((hook) => hook !== undefined).map(cell);
  return `would move ${cell(from)} → ${cell(to)}${hooks.length === 0 ? '' : `, running ${hooks.join(' and ')}`}`;
}

/** What became of a user, as the sums name it. */
function sumOf({ body }: ApiReply): string {
  const outcome = cell(body['outcome']);
  return outcome === 'planned' ? 'would move' : outcome.replace(/^lives on .*: /, '');
}

const moveHeadings = ['USER', 'FROM', 'TO', 'PHASE', 'SINCE', 'BY', 'STATUS'];

function moveCells(row: Readonly<Record<string, unknown>>): readonly Cell[] {
  const [user = '-', from = '-', to = '-', phase = '-', by = '-', explanation = '-'] = [
    'user',
    'from',
    'to',
    'phase',
    'by',
    'explanation',
  ].map((name) => cell(row[name]));
  return [user, from, to, phase, timeCell(row['phase_since']), by, explanation];
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const stop = () => {
      clearTimeout(timer);
      resolve();
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
  });
}
