import { readFileSync, writeFileSync } from 'node:fs';
import { type EventRow, logFields } from '../src/core/log-event-row.ts';
import { logEvents } from '../src/core/log-events.ts';

const page = new URL('../docs/log.md', import.meta.url);

const head = `# The log

<!-- generated from src/core/log-events.ts: npm run docs -->

JSON, one event a line, on standard output. Each line has \`time\` (ISO 8601, UTC), \`level\`, \`app\`, \`event\`, \`msg\` and the fields of its event.

- **\`event\` is stable**: build dashboards and alerts on it. \`msg\` is for people and may change.
- **Each \`error\` is an alarm**: \`postern_alarms_total{code}\` counts it, under \`defect\` where the line has no \`code\`.
- **Capped** events can be caused by strangers: at most ten lines a minute, each with another detail; \`leftOut\` says how many came before and were not written.
- No line holds a query string, a cookie or a password.

## Events

| event | level | message | fields | what to do |
| --- | --- | --- | --- | --- |
`;

/** docs/log.md as the table of events makes it. */
export function logPage(): string {
  const rows: readonly (readonly [string, EventRow])[] = Object.entries(logEvents);
  const events = rows
    .toSorted(([a], [b]) => a.localeCompare(b, 'en'))
    .map(([event, { levels, capped, message, fields, action = '' }]) => {
      const level = levels.join(', ') + (capped ? ', capped' : '');
      return tableRow([code(event), level, message, fields.map(code).join(' '), action]);
    });
  const fields = Object.entries(logFields).map(([field, meaning]) => tableRow([code(field), meaning]));
  return `${head}${events.join('')}\n## Fields\n\n| field | meaning |\n| --- | --- |\n${fields.join('')}`;
}

function code(text: string): string {
  return `\`${text}\``;
}

/** Formats a row of a table in Markdown. */
export function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
}

if (import.meta.main) {
  const wanted = logPage();
  if (process.argv[2] === '--write') writeFileSync(page, wanted);
  else if (readFileSync(page, 'utf8') !== wanted) {
    process.stderr.write('not what src/core/log-events.ts says: docs/log.md; run npm run docs\n');
    process.exitCode = 1;
  }
}
