import { existsSync, globSync, readFileSync } from 'node:fs';
import { defineConfig } from 'vitepress';

/*
 * The docs as a site: npm run docs:site (tools/docs-site.ts) copies the pages to dist/site-source and builds dist/site.
 */

type Entry = readonly [text: string, page: string];
type Group = readonly [question: string, entries: readonly Entry[]];

/** What people ask, and the pages that answer. A page that is not there is left out. */
const questions: readonly Group[] = [
  [
    'How do I start?',
    [
      ['What it is', 'index'],
      ['Install it', 'install'],
      ['From nothing to two nodes', 'first-cluster'],
      ['Configure it', 'configure'],
      ['As a container', 'containers'],
      ['On Kubernetes', 'kubernetes'],
      ['What runs with what', 'compatibility'],
    ],
  ],
  [
    'Where does a user live?',
    [
      ['The directory', 'directory'],
      ['Coming from another proxy', 'directory/coming-from'],
      ['Map: a text file', 'directory/map'],
      ['Regex: patterns', 'directory/regex'],
      ['cdb: a constant database', 'directory/cdb'],
      ['LDAP', 'directory/ldap'],
      ['SQL', 'directory/sql'],
      ['Redis', 'directory/redis'],
      ['HTTP', 'directory/http'],
      ['Cyrus Murder (MUPDATE)', 'directory/mupdate'],
      ['Dovecot director', 'directory/doveadm'],
      ['Postfix protocols', 'directory/postfix-protocols'],
      ['Hash: a computed home', 'directory/hash'],
      ['Referrals', 'directory/referral'],
      ['Static: one home', 'directory/static'],
      ['The same directory for mail', 'directory-service'],
    ],
  ],
  [
    'What does my webmail need?',
    [
      ['All webmails', 'webmails'],
      ['Roundcube', 'webmails/roundcube'],
      ['SOGo', 'webmails/sogo'],
      ['Horde', 'webmails/horde'],
      ['Any HTML form', 'webmails/form'],
      ['Request fields', 'webmails/header'],
      ['HTTP Basic', 'webmails/basic'],
      ['No sign-in', 'webmails/none'],
      ['DAV and ActiveSync', 'webmails/clients'],
      ['Samples for backends', 'files/integrations/README'],
    ],
  ],
  [
    'How do I run it?',
    [
      ['Load balancers, TLS, several nodes', 'load-balancers'],
      ['Operate', 'operate'],
      ['Alerts, and what to do', 'alerts'],
      ['Troubleshooting, by symptom', 'troubleshooting'],
      ['Move users', 'move-users'],
      ['Upgrade', 'upgrade'],
      ['Back up and restore', 'backup'],
      ['Performance', 'performance'],
      ['Scaling', 'scaling'],
    ],
  ],
  [
    'How do we help users, and who did what?',
    [
      ['Support', 'support'],
      ['Audit', 'audit'],
      ['Security', 'security'],
    ],
  ],
  [
    'What exactly is …?',
    [
      ['Every key of the configuration', 'configuration'],
      ['Every event of the log', 'log'],
      ['Every word', 'glossary'],
      ['What changed', 'files/CHANGELOG'],
    ],
  ],
  [
    'Why is it built this way?',
    [
      ['How a request travels', 'how-a-request-travels'],
      ['Contribute', 'files/CONTRIBUTING'],
    ],
  ],
];

const source = new URL('../../dist/site-source/', import.meta.url);
const isThere = ([, page]: Entry): boolean => existsSync(new URL(`${page}.md`, source));

/** Pages that no question names, by their titles: the decisions, and what has been forgotten above. */
const named = new Set(questions.flatMap(([, entries]) => entries.map(([, page]) => page)));
const others: readonly Entry[] = globSync('{*,adr/*,directory/*,webmails/*}.md', { cwd: source })
  .map((file) => file.replace(/\.md$/, ''))
  .filter((page) => !named.has(page))
  .sort()
  .map((page) => [/^# (.*)$/m.exec(readFileSync(new URL(`${page}.md`, source), 'utf8'))?.[1] ?? page, page]);
const decisions = others.filter(([, page]) => page.startsWith('adr/'));
const forgotten = others.filter(([, page]) => !page.startsWith('adr/'));
const lastly: readonly Group[] = forgotten.length === 0 ? [] : [['What else is there?', forgotten]];
const sidebar = [...questions, ['What was decided, and why?', decisions] as const, ...lastly];

// oxlint-disable-next-line import/no-default-export -- VitePress takes the default export.
export default defineConfig({
  title: 'Postern',
  description: 'The front door of a webmail cluster.',
  // Where a server shows the site: DOCS_BASE=/postern/ npm run docs:site.
  base: process.env['DOCS_BASE'] ?? '/',
  srcDir: '../dist/site-source',
  outDir: '../dist/site',
  cacheDir: '../dist/site-cache',
  // Languages that the highlighter does not know.
  markdown: {
    languageAlias: { dovecot: 'nginx', haproxy: 'nginx', logrotate: 'nginx', map: 'ini', redis: 'ini', regexp: 'ini' },
  },
  head: [['meta', { name: 'referrer', content: 'no-referrer' }]],
  themeConfig: {
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    sidebar: sidebar.map(([text, entries]) => ({
      text,
      collapsed: entries.length > 10,
      items: entries.filter(isThere).map(([name, page]) => ({ text: name, link: `/${page === 'index' ? '' : page}` })),
    })),
  },
});
