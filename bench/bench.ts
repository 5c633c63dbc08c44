import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { installPeers } from './install.ts';
import { machineFacts } from './machine.ts';
import { markdownSection, markdownTable, type Section, targetTable, withMeasured } from './report.ts';
import { parts, runSuite } from './suite.ts';

/*
 * npm run bench                    measures everything and writes docs/performance.md
 * npm run bench -- --only 1k,up    some parts, printed only
 * npm run bench -- --rounds 3      fewer rounds, printed only
 */

const defaultRounds = 9;
const command = 'npm run bench';
const page = new URL('../docs/performance.md', import.meta.url);

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: String(defaultRounds) },
    only: { type: 'string', default: [...parts.keys()].join(',') },
  },
});
const rounds = Number(values.rounds);
const only = values.only.split(',');
const unknown = only.filter((name) => !parts.has(name));
if (unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
  console.error(`--rounds takes a number, and --only some of: ${[...parts.keys()].join(', ')}`);
  process.exit(2);
}

installPeers();
const startedMs = Date.now();
const failures: string[] = [];
const sections = await runSuite({
  effort: { warmUps: 1, rounds, fewerRounds: Math.ceil(rounds / 2), seconds: 1 },
  only,
  say: (text) => console.error(text),
  failed(name, error) {
    console.error(`${name} failed:`, error);
    failures.push(name);
  },
});
if (failures.length > 0) process.exitCode = 1;
const measured = await report(sections, Math.round((Date.now() - startedMs) / 60_000));
console.log(measured);
if (rounds >= defaultRounds && only.length === parts.size) {
  await writeFile(page, withMeasured(await readFile(page, 'utf8'), measured));
}

async function report(sections: readonly Section[], minutes: number): Promise<string> {
  const facts = [...machineFacts(), `Command: \`${command}\`, ${rounds} rounds, ${minutes} minutes.`];
  if (failures.length > 0) facts.push(`**Could not be measured:** ${failures.join(', ')}.`);
  const targets = sections.flatMap((section) => section.targets);
  return [
    facts.map((fact) => `- ${fact}`).join('\n'),
    `## Targets\n\n${markdownTable(targetTable(targets))}\n`,
    `## Measured\n\n${sections.map(markdownSection).join('\n')}`,
  ].join('\n\n');
}
