import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const folder = new URL('inputs/', import.meta.url);

/** The path of an input from the field, for programs that open it themselves. */
export function fieldInputPath(name: string): string {
  return fileURLToPath(new URL(name, folder));
}

/** The bytes of an input from the field. */
export function readFieldInput(name: string): Promise<Buffer> {
  return readFile(new URL(name, folder));
}
