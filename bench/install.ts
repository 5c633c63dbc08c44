import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What the benchmark needs besides Node. */
const packages = ['caddy', 'dovecot-imapd', 'haproxy', 'nginx-light', 'openssl', 'redis-server', 'wrk'];
const lab = fileURLToPath(new URL('../test/lab/lab', import.meta.url));

/**
 * Installs what is missing with apt, without starting any of it. Throws where that is not possible, and says what is
 * needed.
 */
export function installPeers(): void {
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
    throw new Error(`the benchmark installs and starts servers: run it as root on Debian (${packages.join(', ')})`);
  }
  // The lab's script knows how to install without starting services; backend a brings nginx and Dovecot.
  const env = { ...process.env, LAB_EXTRA_PACKAGES: packages.join(' ') };
  const { status } = spawnSync(lab, ['packages', 'a'], { env, stdio: 'inherit' });
  if (status !== 0) throw new Error('the packages could not be installed');
}
