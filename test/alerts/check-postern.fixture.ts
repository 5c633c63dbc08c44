import { fileURLToPath } from 'node:url';
import { runProgram } from '../programs.ts';

const file = fileURLToPath(new URL('../../deploy/nagios/check_postern', import.meta.url));

/** Exit code and output of check_postern for the node at a URL. */
export function checkNode(url: string, ...more: readonly string[]): Promise<readonly [code: number, said: string]> {
  return checkWith('--url', url, ...more);
}

/** Exit code and output of check_postern with these options. */
export async function checkWith(...options: readonly string[]): Promise<readonly [code: number, said: string]> {
  try {
    return [0, await runProgram('python3', [file, ...options], { timeoutMs: 30_000 })];
  } catch (error) {
    if (error instanceof Error && 'code' in error && 'stdout' in error)
      return [Number(error.code), String(error.stdout)];
    throw error;
  }
}
