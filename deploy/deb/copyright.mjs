// Prints the copyright file of the package: node copyright.mjs LICENCE_OF_POSTERN LICENCE_OF_NODE FOLDER_OF_MODULES
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const [ours, nodes, folder] = process.argv.slice(2);
const read = (file) => readFileSync(file, 'utf8').trim();

const head = `This package holds Postern, the Node that runs it, and the modules that it uses, each under its own licence below.

The Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0 on Debian.`;

/** A module's licence by name, its author, and the texts that it comes with. */
function partOf(module) {
  const { license, author } = JSON.parse(read(join(folder, module, 'package.json')));
  const by = author?.name ?? author ?? 'its contributors';
  const texts = globSync('{licen[cs]e,LICEN[CS]E,COPYING,NOTICE,copying,notice}*', { cwd: join(folder, module) })
    .sort()
    .map((name) => read(join(folder, module, name)))
    .filter((text) => !text.includes('Apache License'));
  return [`==== /usr/lib/postern/${module}: ${license}, by ${by}`, ...texts].join('\n\n');
}

const modules = globSync('{**/,}node_modules/{*,@*/*}/package.json', { cwd: folder }).sort().map(dirname);
const parts = [head, `==== Postern\n\n${read(ours)}`, `==== Node\n\n${read(nodes)}`, ...modules.map(partOf)];
process.stdout.write(`${parts.join('\n\n\n')}\n`);
