import { z } from 'zod';
import { isObject } from '../core/objects.ts';
import { configShape } from './config.ts';
import { createReferencedFiles } from './referenced-files.ts';

/**
 * Settings under the keys of the file. A secret stands in them as the name of its file or variable, never as its value.
 */
type Settings = Readonly<Record<string, unknown>>;

type Schema = z.core.JSONSchema.BaseSchema;

/**
 * The settings with the defaults of everything that the files leave out, in the order of the reference. A section that
 * is off without being written, such as `support`, stays away; drivers' own settings are shown as they are written.
 */
export function settingsInForce(written: Settings): Settings {
  // No file is opened for the schema alone.
  const shape = z.strictObject(configShape(createReferencedFiles('.', {})));
  const schema = z.toJSONSchema(shape, { io: 'input', reused: 'inline' });
  const { include: _include, ...properties } = schema.properties ?? {};
  const filled = filledIn({ ...schema, properties }, written);
  return isObject(filled) ? filled : written;
}

function filledIn(schema: Schema, value: unknown): unknown {
  const map = isObject(value) ? mapOf(schema, value) : undefined;
  if (map === undefined || !isObject(value)) return value;
  const known = Object.entries(map.properties ?? {}).flatMap(([key, part]): [string, unknown][] => {
    if (typeof part === 'boolean') return [];
    const given = key in value ? value[key] : part.default;
    return given === undefined ? [] : [[key, filledIn(part, given)]];
  });
  const { additionalProperties: each } = map;
  const others = Object.entries(value)
    .filter(([key]) => map.properties?.[key] === undefined)
    .map(([key, given]) => [key, isObject(each) ? filledIn(each, given) : given]);
  return Object.fromEntries([...known, ...others]);
}

/** The form of a schema that is a map with these keys; undefined if there is none. */
function mapOf(schema: Schema, value: Settings): Schema | undefined {
  const forms = [schema, ...(schema.anyOf ?? [])].filter((form) => typeof form !== 'boolean' && form.type === 'object');
  const fits = (form: Schema): boolean =>
    form.additionalProperties !== false || Object.keys(value).every((key) => key in (form.properties ?? {}));
  return forms.find(fits);
}
