import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { listedPrograms, spawnSync } from '../test/programs.ts';

const lab = fileURLToPath(new URL('../test/lab/lab', import.meta.url));

/**
 * Installs missing packages of the benchmark with apt, without starting their services. Throws with a list of them if
 * that is not possible.
 */
export function installPeers(): void {
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
    const packages = listedPrograms
      .filter(({ wantedBy }) => wantedBy.includes('bench'))
      .map((listed) => listed.package);
    throw new Error(`the benchmark installs and starts servers: run it as root on Debian (${packages.join(', ')})`);
  }
  // The lab's script knows how to install without starting services; backend a brings nginx and Dovecot.
  const { status } = spawnSync(lab, ['packages', 'bench', 'a'], { stdio: 'inherit' });
  if (status !== 0) throw new Error('the packages could not be installed');
}
