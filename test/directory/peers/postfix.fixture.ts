import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exists, runProgram, unpackPackages } from '../../programs.ts';

/** Postfix's own programs, run from the packages' content: installing them would replace the machine's mail agent. */
export interface Postfix {
  /** Makes a table from a text file, as `postmap type:file` does. */
  make(type: 'cdb', file: string): Promise<void>;
  /** Looks up a key in a table, as `postmap -q key type:file` does; undefined if the key is not there. */
  query(table: string, key: string): Promise<string | undefined>;
}

const folder = join(tmpdir(), 'postern-test-postfix');

export async function postfix(): Promise<Postfix> {
  await unpackOnce();
  const root = join(folder, 'root');
  const libraries = join(root, 'usr/lib/postfix');
  const env = { LD_LIBRARY_PATH: libraries };
  const postmap = (args: readonly string[]): Promise<string> =>
    runProgram(join(root, 'usr/sbin/postmap'), ['-c', join(folder, 'conf'), ...args], { env });
  return {
    async make(type, file) {
      await postmap([`${type}:${file}`]);
    },
    async query(table, key) {
      try {
        return (await postmap(['-q', key, table])).replace(/\n$/, '');
      } catch (error) {
        // postmap prints nothing and exits with 1 if the key is not there.
        if (error instanceof Error && 'code' in error && error.code === 1 && 'stderr' in error && error.stderr === '') {
          return undefined;
        }
        throw error;
      }
    },
  };
}

/** The folder in which the packages of Postfix are unpacked. */
export async function postfixRoot(): Promise<string> {
  await unpackOnce();
  return join(folder, 'root');
}

async function unpackOnce(): Promise<void> {
  if (await exists(folder)) return;
  const making = `${folder}.${process.pid}`;
  const conf = join(making, 'conf');
  await mkdir(conf, { recursive: true });
  const unpacked = join(making, 'root');
  await mkdir(unpacked);
  await unpackPackages(['postfix', 'postfix-cdb'], unpacked);
  const libraries = join(folder, 'root/usr/lib/postfix');
  // The package would make these users. postmap only wants them to exist, and to differ.
  const owners = 'mail_owner=daemon\nsetgid_group=games\n';
  const places = `meta_directory=${join(folder, 'conf')}\nshlib_directory=${libraries}\n`;
  const main = `compatibility_level=3.6\nmaillog_file=/dev/stdout\n${owners}${places}`;
  await writeFile(join(conf, 'main.cf'), main);
  await writeFile(join(conf, 'dynamicmaps.cf'), `cdb\t${libraries}/postfix-cdb.so\tdict_cdb_open\tmkmap_cdb_open\n`);
  // A process that comes second finds it done.
  await rename(making, folder).catch(() => rm(making, { recursive: true, force: true }));
}
