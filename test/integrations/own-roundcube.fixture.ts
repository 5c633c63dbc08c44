import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { freePort } from '../ports.fixture.ts';
import { awaitPort, spawn, stopProgram } from '../programs.ts';
import { key } from './roundcube-browser.fixture.ts';

/** Another Roundcube than Debian's, as for the lab (test/lab/README.md); from 1.7 on, with a document root of its own. */
const checkout = process.env['LAB_ROUNDCUBE'];
const installed = checkout ?? '/usr/share/roundcube';
const configurations = checkout === undefined ? '/etc/roundcube' : join(checkout, 'config');
const plugin = fileURLToPath(new URL('../../integrations/roundcube/postern', import.meta.url));

export interface OwnRoundcube {
  readonly origin: string;
  /** Makes every session of Roundcube invalid at once. */
  forgetSessions(): void;
  /** The names of all users that Roundcube knows. */
  userNames(): readonly unknown[];
  log(name: 'errors' | 'userlogins'): Promise<string>;
  stop(): Promise<void>;
}

/** The settings of a Roundcube whose plugin lets the gateway in, as `gateway` at this IMAP server. */
export function entrySettings(imapHost: string, password = 'gateway-pw'): readonly string[] {
  return [
    `$config['imap_host'] = '${imapHost}';`,
    "$config['postern_gateways'] = ['127.0.0.1'];",
    `$config['postern_keys'] = ['${key}'];`,
    "$config['postern_auth_cid'] = 'gateway';",
    `$config['postern_auth_pw'] = '${password}';`,
  ];
}

/**
 * Debian's Roundcube, or that of LAB_ROUNDCUBE, with the plugin, before PHP's own web server, on a free port. `settings`: lines of PHP. Several
 * may share a `databaseFile`.
 */
export async function startRoundcube(
  directory: string,
  settings: readonly string[],
  databaseFile = join(directory, 'roundcube.db'),
): Promise<OwnRoundcube> {
  const at = (...names: string[]): string => join(directory, ...names);
  await lay(directory, settings, databaseFile);
  const isFirst = !existsSync(databaseFile);
  const database = new DatabaseSync(databaseFile, { timeout: 5000 });
  if (isFirst) database.exec(await readFile(join(installed, 'SQL/sqlite.initial.sql'), 'utf8'));
  const port = await freePort();
  const child: ChildProcess = spawn(
    'php',
    [
      '-d',
      'display_errors=0',
      '-d',
      `error_log=${at('log/php.log')}`,
      '-S',
      `127.0.0.1:${port}`,
      '-t',
      at('public_html'),
      at('public_html/index.php'),
    ],
    { stdio: 'ignore', env: { ...process.env, PHP_CLI_SERVER_WORKERS: '6' } },
  );
  await once(child, 'spawn');
  await awaitPort(port);
  return {
    origin: `http://127.0.0.1:${port}`,
    forgetSessions: () => database.exec('delete from session'),
    userNames: () =>
      database
        .prepare('select username from users order by 1')
        .all()
        .map((row) => row['username']),
    log: (name) => readFile(at('log', `${name}.log`), 'utf8').catch(() => ''),
    stop: async () => {
      await stopProgram(child);
      if (database.isOpen) database.close();
    },
  };
}

/** A Roundcube of links to the installed one, with configuration, database, logs and plugin of its own. */
async function lay(directory: string, settings: readonly string[], databaseFile: string): Promise<void> {
  const at = (...names: string[]): string => join(directory, ...names);
  for (const name of ['config', 'public_html', 'plugins', 'skins', 'log', 'temp']) await mkdir(at(name));
  await chmod(directory, 0o755);
  await symlink(join(installed, 'program'), at('program'));
  await symlink(join(installed, 'SQL'), at('SQL'));
  if (checkout === undefined) await symlink(join(installed, 'index.php'), at('index.php'));
  else await symlink(join(installed, 'vendor'), at('vendor'));
  for (const kind of ['skins', 'plugins']) {
    for (const name of await readdir(join(installed, kind))) {
      await symlink(join(installed, kind, name), at(kind, name));
    }
  }
  for (const name of ['defaults.inc.php', 'mimetypes.php']) {
    await symlink(join(configurations, name), at('config', name));
  }
  await cp(plugin, at('plugins/postern'), { recursive: true });
  for (const name of ['program', 'skins', 'plugins']) await symlink(at(name), at('public_html', name));
  await writeFile(at('config/config.inc.php'), configuration(directory, settings, databaseFile));
  await writeFile(
    at('public_html/index.php'),
    `<?php
// PHP's web server serves styles, scripts and pictures itself.
if (preg_match('#^/(?:program|skins|plugins)/[^?]+[.](?:js|css|png|svg|gif|jpg|woff2?|html)$#', parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH))) return false;
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = '/index.php';
define('INSTALL_PATH', '${directory}/');
include ${checkout === undefined ? "INSTALL_PATH . 'index.php'" : `'${join(checkout, 'public_html/index.php')}'`};
`,
  );
}

function configuration(directory: string, settings: readonly string[], databaseFile: string): string {
  return `<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///${databaseFile}?mode=0640';
$config['des_key'] = 'twenty-four-byte-deskey!';
$config['log_dir'] = '${directory}/log/';
$config['temp_dir'] = '${directory}/temp/';
$config['log_logins'] = true;
$config['language'] = 'en_US';
$config['enable_spellcheck'] = false;
$config['mime_types'] = null;
$config['proxy_whitelist'] = ['127.0.0.1'];
$config['plugins'] = ['postern'];
${settings.join('\n')}
`;
}
