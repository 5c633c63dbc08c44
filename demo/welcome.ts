import { people, sam } from './people.ts';

/** Addresses and commands of a running demo. */
export interface WelcomeParts {
  readonly origin: string;
  readonly consoleOrigin: string;
  readonly metricsUrl: string;
  readonly configFile: string;
  /** The process of backend a's primary. */
  readonly primaryPid: number;
}

/** The first screen: what to open, who may sign in, and lines for a second terminal. */
export function welcome(parts: WelcomeParts): string {
  const rows = people.map(({ address, password, backend }) => row(address, password, `backend ${backend}`));
  const steps = stepsOf(parts).map(([comment, command]) => `  # ${comment}\n  ${command}\n`);
  return `ready ${parts.origin}

Open it in a browser, and sign in. One address, two mail servers: the colour says which one you are on.

${row('user', 'password', 'lives on')}${rows.join('')}
The console of support, for ${sam.address} with ${sam.password} and a code from the last line:
  ${parts.consoleOrigin}

The operators' side: with Alice signed in, paste these lines into a second terminal, in this folder, one by one.

${steps.join('')}
demo/README.md walks you through it in five minutes. Ctrl-C ends the demo; nothing is kept.

`;
}

/** A comment and a command each, in the order of the walk. */
function stepsOf({ configFile, metricsUrl, primaryPid }: WelcomeParts): readonly (readonly [string, string])[] {
  const postern = (words: string): string => `npm run -s postern -- ${words} -c ${quoted(configFile)}`;
  return [
    ['Who is signed in, where, since when?', postern('session list')],
    [
      'Close backend a. Alice reads your words at her next click, and Bob notices nothing.',
      postern('backend set a MAINT --reason "new disks" --text "en=Back at six."'),
    ],
    ['Open it again. Her page goes on by itself.', postern('backend set a READY --reason done')],
    ['Kill the first machine of backend a. At her next click the standby serves her.', `kill ${primaryPid}`],
    ['Which machines are up, which serve (*), and how many sessions does each have?', postern('backend list')],
    [
      'Move Alice while she writes a letter. Then press Send: it goes out, from b.',
      postern('user move alice --to b --reason "a is full"'),
    ],
    ['Sign Alice out, everywhere, within a second.', postern('kick alice --reason "lost laptop"')],
    ['What did staff and operators do?', postern('audit list')],
    ['Statistics, for Prometheus.', `curl -s ${metricsUrl} | grep -E '^postern_(logins|requests)_total'`],
  ];
}

function row(...cells: readonly [user: string, password: string, home: string]): string {
  return `  ${cells[0].padEnd(22)}${cells[1].padEnd(18)}${cells[2]}\n`;
}

/** A file name as one word of a shell. */
function quoted(file: string): string {
  return /^[\w./-]+$/.test(file) ? file : `'${file.replaceAll("'", String.raw`'\''`)}'`;
}
