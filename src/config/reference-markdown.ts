import type { z } from 'zod';
import { referenceExamples } from './reference-examples.ts';

type Schema = z.core.JSONSchema.BaseSchema;

interface Row {
  readonly key: string;
  readonly type: string;
  readonly otherwise: string;
  readonly about: string;
}

/** The reference of all keys, made from the JSON schema: one section per key of the file, in the schema's order. */
export function referenceMarkdown(schema: Schema): string {
  const required = new Set(schema.required);
  const sections = Object.entries(schema.properties ?? {}).map(([key, part]) =>
    sectionText(key, asSchema(part), required.has(key)),
  );
  return `<!-- Made from the schema by \`npm run docs\`: change src/config, not this file. -->
# Configuration: every key

One YAML file; see [configure.md](configure.md) for how it is meant. Unknown keys are errors. Paths are relative to the file
that names them. Durations have a unit: \`500ms\`, \`3s\`, \`10 min\`, \`12h\`, \`1d\`; sizes too: \`16 KiB\`, \`1 MiB\`. A secret is
\`{ file: NAME }\` or \`{ env: VARIABLE }\`, and never stands in the file itself.

${sections.join('\n')}`;
}

function sectionText(key: string, schema: Schema, isRequired: boolean): string {
  const rows = rowsUnder(schema, '');
  const alone = `${capital(typeText(schema))}; ${isRequired ? 'required' : `default ${defaultText(schema)}`}.`;
  const table = [
    '| key | type | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rows.map(
      ({ key, type, otherwise, about }) => `| \`${key}\` | ${cell(type)} | ${cell(otherwise)} | ${cell(about)} |`,
    ),
  ].join('\n');
  const example = referenceExamples.get(key);
  return [
    `## ${key}\n`,
    `${schema.description ?? ''}\n`,
    rows.length === 0 ? `${alone}\n` : `${table}\n`,
    example === undefined ? '' : `\`\`\`yaml\n${example}\n\`\`\`\n`,
  ]
    .filter((part) => part !== '')
    .join('\n');
}

/** One row per key below a schema; a map inside is unfolded, with its keys behind a dot, unless it has a title. */
function rowsUnder(schema: Schema, prefix: string): Row[] {
  if (schema.title !== undefined) return [];
  return shapesOf(schema).flatMap((shape) => {
    const own = Object.entries(shape.properties ?? {}).flatMap(([name, part]) =>
      rowsOf(`${prefix}${name}`, asSchema(part), (shape.required ?? []).includes(name)),
    );
    const each = shape.additionalProperties;
    const named = typeof each === 'object' && shapesOf(each).some(hasKeys) ? rowsUnder(each, `${prefix}NAME.`) : [];
    return [...own, ...named];
  });
}

function rowsOf(key: string, schema: Schema, isRequired: boolean): Row[] {
  const otherwise = isRequired ? 'required' : defaultText(schema);
  const row = { key, type: typeText(schema), otherwise, about: schema.description ?? '' };
  const below = rowsUnder(schema, `${key}.`);
  const { items } = schema;
  const inItems = typeof items === 'object' && !Array.isArray(items) ? itemRows(asSchema(items), `${key}[]`) : [];
  // A map of keys with a default of nothing says nothing by itself that its keys do not say.
  return schema.type === 'object' && hasKeys(schema) && schema.title === undefined
    ? below
    : [row, ...below, ...inItems];
}

/** What a list holds. Items that are told apart by their `type` are one row each. */
function itemRows(items: Schema, prefix: string): Row[] {
  const kinds = (items.oneOf ?? []).map(asSchema);
  if (kinds.length === 0) return rowsUnder(items, `${prefix}.`);
  return kinds.map((kind) => {
    const type = asSchema(kind.properties?.['type'] ?? {});
    return { key: `${prefix}.type`, type: `\`${String(type.const)}\``, otherwise: '', about: type.description ?? '' };
  });
}

function shapesOf(schema: Schema): readonly Schema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.map(asSchema);
}

function hasKeys(schema: Schema): boolean {
  return Object.keys(schema.properties ?? {}).length > 0;
}

function typeText(schema: Schema): string {
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map((one) => typeText(asSchema(one))))].join(' or ');
  if (schema.enum !== undefined) return schema.enum.map((word) => `\`${String(word)}\``).join(', ');
  if (schema.title !== undefined) return schema.title;
  switch (schema.type) {
    case 'array': {
      const { items } = schema;
      return typeof items === 'object' && !Array.isArray(items) ? `list of ${typeText(asSchema(items))}s` : 'list';
    }
    case 'object':
      return 'map';
    case 'boolean':
      return 'true or false';
    case 'integer':
      return schema.minimum === undefined ? 'number' : `number, ${schema.minimum} to ${schema.maximum}`;
    case 'number':
      return 'number';
    case 'string':
      return 'text';
    default:
      return 'map';
  }
}

function defaultText(schema: Schema): string {
  const value: unknown = schema.default;
  if (value === undefined) return '–';
  return Array.isArray(value) && value.length === 0
    ? '`[]`'
    : `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** JSON schema allows `true` and `false` for "anything" and "nothing". */
function asSchema(schema: Schema | boolean): Schema {
  return typeof schema === 'boolean' ? {} : schema;
}
