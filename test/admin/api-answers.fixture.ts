import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { parse } from 'yaml';

/** An operation of docs/openapi.yaml, and checks of its answers by status. */
interface Described {
  readonly name: string;
  readonly method: string;
  readonly path: RegExp;
  readonly answers: ReadonlyMap<string, ValidateFunction>;
}

type Json = Readonly<Record<string, unknown>>;

const methods = ['get', 'put', 'post', 'delete'];
const document: Json = parse(readFileSync(new URL('../../docs/openapi.yaml', import.meta.url), 'utf8'));
let described: readonly Described[] | undefined;

/** What docs/openapi.yaml says of each operation. Throws for an answer that it describes without a strict schema. */
export function describedOperations(): readonly Described[] {
  described ??= readOperations();
  return described;
}

/**
 * Fails if docs/openapi.yaml does not describe this real answer of a gateway. Returns the name of its operation;
 * undefined if the path belongs to none.
 */
export function assertDescribed(method: string, path: string, status: number, body: unknown): string | undefined {
  const [pathname = ''] = path.split('?');
  const operation = describedOperations().find((one) => one.method === method && one.path.test(pathname));
  if (operation === undefined) {
    assert.ok(
      status === 404 || status === 405,
      `${method} ${pathname} is not in docs/openapi.yaml, and answers ${status}`,
    );
    return undefined;
  }
  const validate = operation.answers.get(String(status)) ?? operation.answers.get('default');
  assert.ok(validate !== undefined, `docs/openapi.yaml has no ${status} of ${operation.name}`);
  const isSuccess = status >= 200 && status < 300;
  assert.ok(!isSuccess || operation.answers.has(String(status)), `${operation.name} answers ${status}`);
  const isDescribed = validate(body);
  const problems = (validate.errors ?? []).map(({ instancePath, message, params }) =>
    [instancePath, message, JSON.stringify(params)].join(' '),
  );
  assert.ok(isDescribed, `${operation.name}, ${status}: ${problems.join('; ')} in ${JSON.stringify(body)}`);
  return operation.name;
}

function readOperations(): readonly Described[] {
  const ajv = new Ajv2020({ allErrors: true, strict: true, strictRequired: true, allowUnionTypes: true });
  ajv.addFormat('date-time', /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{3})?Z$/);
  ajv.addKeyword('components');
  ajv.addSchema({ $id: 'openapi', components: document['components'] });
  const operations: Described[] = [];
  for (const [path, item] of Object.entries(objectIn(document, 'paths'))) {
    for (const [method, operation] of Object.entries(isJson(item) ? item : {})) {
      if (!methods.includes(method) || !isJson(operation)) continue;
      const name = String(operation['operationId']);
      const answers = new Map<string, ValidateFunction>();
      for (const [status, answer] of Object.entries(objectIn(operation, 'responses'))) {
        const content = objectIn(resolve(answer), 'content');
        const schema = objectIn(objectIn(content, 'application/json'), 'schema');
        assert.ok(Object.keys(schema).length > 0, `${name} has no schema of its ${status} in docs/openapi.yaml`);
        assertStrict(schema, `${name} ${status}`);
        answers.set(status, ajv.compile(withAbsoluteReferences(schema)));
      }
      assert.ok(answers.has('200') && answers.has('default'), `${name} needs a 200 and a default in docs/openapi.yaml`);
      const pattern = new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
      operations.push({ name, method: method.toUpperCase(), path: pattern, answers });
    }
  }
  return operations;
}

/** A schema that allows unknown fields describes nothing. */
function assertStrict(schema: unknown, where: string, seen = new Set<unknown>()): void {
  if (Array.isArray(schema)) for (const part of schema) assertStrict(part, where, seen);
  const part = isJson(schema) ? resolve(schema) : {};
  if (seen.has(part)) return;
  seen.add(part);
  if (part['type'] === 'object') {
    assert.ok(part['additionalProperties'] !== undefined, `${where}: an object lacks additionalProperties: false`);
    assert.notEqual(part['additionalProperties'], true, where);
  }
  for (const inner of Object.values(part)) {
    if (isJson(inner) || Array.isArray(inner)) assertStrict(inner, where, seen);
  }
}

function resolve(value: unknown): Json {
  const part = isJson(value) ? value : {};
  const reference = part['$ref'];
  if (typeof reference !== 'string') return part;
  let found: unknown = document;
  for (const key of reference.replace('#/', '').split('/')) found = isJson(found) ? found[key] : undefined;
  assert.ok(isJson(found), `${reference} leads nowhere`);
  return found;
}

function withAbsoluteReferences(schema: Json): Json {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"openapi#/'));
}

function objectIn(value: Json, key: string): Json {
  const found = value[key];
  return isJson(found) ? found : {};
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
