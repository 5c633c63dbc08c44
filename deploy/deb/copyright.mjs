// Prints the copyright file of the package: node copyright.mjs LICENCE_OF_POSTERN LICENCE_OF_NODE FOLDER_OF_MODULES
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const [ours, nodes, folder] = process.argv.slice(2);
const read = (file) => readFileSync(file, 'utf8').trim();

const head = `This package holds Postern, the Node that runs it, and the modules that it uses, each under its own licence below.

The Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0 on Debian.`;

const warranty = `THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

/** The texts of licences, for modules that come without one. */
const standardTexts = {
  MIT: `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

${warranty}`,
  ISC: `Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted,
provided that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT,
INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF
THIS SOFTWARE.`,
  // In /usr/share/common-licenses.
  'Apache-2.0': undefined,
};

const isNotice = (name) => name.toUpperCase().startsWith('NOTICE');

/** A module's licence by name, its author, and the texts that it comes with, or that of its licence. */
function partOf(module) {
  const { license, author } = JSON.parse(read(join(folder, module, 'package.json')));
  const by = author?.name ?? author ?? 'its contributors';
  const names = globSync('{licen[cs]e,LICEN[CS]E,COPYING,NOTICE,copying,notice}*', {
    cwd: join(folder, module),
  }).sort();
  const texts = names
    .map((name) => [name, read(join(folder, module, name))])
    .filter(([name, text]) => isNotice(name) || !text.includes('Apache License'))
    .map(([, text]) => text);
  if (!names.some((name) => !isNotice(name))) {
    if (!(license in standardTexts))
      throw new Error(`${module} has no text of its licence, ${license}: add it to standardTexts`);
    if (standardTexts[license] !== undefined) texts.push(`Copyright (c) ${by}\n\n${standardTexts[license]}`);
  }
  return [`==== /usr/lib/postern/${module}: ${license}, by ${by}`, ...texts].join('\n\n');
}

const modules = globSync('{**/,}node_modules/{*,@*/*}/package.json', { cwd: folder }).sort().map(dirname);
const parts = [head, `==== Postern\n\n${read(ours)}`, `==== Node\n\n${read(nodes)}`, ...modules.map(partOf)];
process.stdout.write(`${parts.join('\n\n\n')}\n`);
