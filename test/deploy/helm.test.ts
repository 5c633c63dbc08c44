import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { buildDirectory } from '../../src/gateway.ts';
import { gatewayWith, run } from '../cli/cli.fixture.ts';
import { filesOf } from '../config/config.fixture.ts';
import { runProgram } from '../programs.ts';
import { startRedisServer } from '../redis-server.fixture.ts';
import { at, type Field, find, helm, problemsOf, render, textAt } from './helm.fixture.ts';

const helmFolder = new URL('../../deploy/helm/', import.meta.url);
const values = readFileSync(fileURLToPath(new URL('example-values.yaml', helmFolder)), 'utf8');
const page = readFileSync(fileURLToPath(new URL('../../docs/kubernetes.md', import.meta.url)), 'utf8');
const postern = fileURLToPath(new URL('../../bin/postern.mjs', import.meta.url));
/** Everything that can be switched on. */
const everything = `${values.replace(/^networkPolicy:\n.*\n/m, '')}replicaCount: 3
image: { repository: registry.example.org/postern, digest: "sha256:${'0'.repeat(64)}" }
imagePullSecrets: [{ name: registry }]
serviceMonitor: { enabled: true, labels: { release: prometheus } }
networkPolicy:
  ingressFrom: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": ingress } } }]
  metricsFrom: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": monitoring } } }]
  egress: [{ to: [{ ipBlock: { cidr: 10.0.0.0/8 } }] }]
service:
  type: LoadBalancer
  annotations: { example.org/pool: mail }
  nodePort: 30080
  loadBalancerClass: example.org/pool
  loadBalancerSourceRanges: [192.0.2.0/24]
podAnnotations: { example.org/team: mail }
podLabels: { team: mail }
nodeSelector: { kubernetes.io/os: linux }
tolerations: [{ key: mail, operator: Exists, effect: NoSchedule }]
affinity: { nodeAffinity: {} }
`;

function ingressOf(policy: Field): string {
  return JSON.stringify(at(policy, 'spec.ingress'));
}

function configMapOf(objects: readonly Field[]): string {
  return textAt(find(objects, 'Deployment'), 'spec.template.spec.volumes.0.configMap.name');
}

function idIn(said: string): string {
  return /\b[0-9a-f]{8}\b/.exec(said)?.[0] ?? '';
}

async function trafficPolicy(...set: readonly string[]): Promise<Field | undefined> {
  const rendered = await render(values, ...set.flatMap((one) => ['--set', one]));
  return at(find(rendered, 'Service'), 'spec.externalTrafficPolicy');
}

/** What helm says after an installation with these values set. */
function notes(...set: readonly string[]): Promise<string> {
  return helm(['install', 'mail', '--dry-run=client'], values, ...set);
}

describe('the chart', () => {
  let objects: readonly Field[];
  before(async () => (objects = await render(values)));
  const pod = (): Field | undefined => at(find(objects, 'Deployment'), 'spec.template.spec');

  it('passes helm’s own lint', async () => {
    assert.match(await helm(['lint'], values, '--strict'), /1 chart\(s\) linted, 0 chart\(s\) failed/);
  });

  it('renders objects that Kubernetes knows, with fields that it knows', async () => {
    for (const given of [values, everything]) {
      const rendered = await render(given);
      assert.ok(rendered.length >= 6);
      for (const object of rendered) assert.deepEqual(problemsOf(object), []);
    }
  });

  it('warns whoever lets all pods in and trusts their networks', async () => {
    const warning = /networkPolicy\.ingressFrom is empty: .* can name any client address/;
    assert.doesNotMatch(await notes(), warning);
    assert.match(await notes('--set', 'networkPolicy.ingressFrom=null'), warning);
  });

  it('would be seen to be wrong: a field of another name, a text for a number', () => {
    const text = JSON.stringify(find(objects, 'Deployment'));
    assert.deepEqual(problemsOf(JSON.parse(text.replace('livenessProbe', 'aliveProbe'))), [
      '/spec/template/spec/containers/0/aliveProbe is not a field of apps/v1 Deployment',
    ]);
    assert.match(problemsOf(JSON.parse(text.replace('"replicas":2', '"replicas":"two"'))).join(), /replicas/);
  });

  it('has a configuration that `postern check` accepts', async (t) => {
    const map = find(objects, 'ConfigMap');
    const names = Object.keys(Object(at(map, 'data')));
    assert.deepEqual(names, ['postern.yaml', 'users.map']);
    const folder = filesOf(t, { 'redis-password': 'secret\n', ...Object(at(map, 'data')) });
    chmodSync(join(folder, 'redis-password'), 0o440);
    const file = join(folder, 'postern.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('/run/secrets/postern/', `${folder}/`));
    const { code, out, err } = await run(['check', '-c', file], {
      loadGateway: gatewayWith({ buildDirectory }),
    });
    assert.equal(code, 0, out + err);
  });

  it('gives a stop the time that it takes: the drain, the delay, the deadline', async () => {
    assert.match(JSON.stringify(find(objects, 'ConfigMap')), /deadline: 60s\\n +delay: 5s/);
    assert.match(JSON.stringify(at(pod(), 'containers.0.lifecycle.preStop')), /postern drain .*; sleep 10/);
    assert.equal(at(pod(), 'terminationGracePeriodSeconds'), 10 + 5 + 60 + 10);
    const longer = find(await render(values, '--set', 'shutdown.deadlineSeconds=600'), 'Deployment');
    assert.equal(at(longer, 'spec.template.spec.terminationGracePeriodSeconds'), 10 + 5 + 600 + 10);
  });

  it('runs as the user of the image, who may nothing, on a read-only root', async () => {
    const dockerfile = await readFile(fileURLToPath(new URL('../../Dockerfile', import.meta.url)), 'utf8');
    const [, user = '', group = ''] = /^USER (\d+):(\d+)$/m.exec(dockerfile) ?? [];
    const { runAsUser, runAsGroup, runAsNonRoot, seccompProfile } = Object(at(pod(), 'securityContext'));
    assert.deepEqual([runAsUser, runAsGroup, runAsNonRoot], [Number(user), Number(group), true]);
    assert.deepEqual(seccompProfile, { type: 'RuntimeDefault' });
    assert.deepEqual(at(pod(), 'containers.0.securityContext'), {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    assert.equal(at(pod(), 'automountServiceAccountToken'), false);
    assert.equal(at(find(objects, 'ServiceAccount'), 'automountServiceAccountToken'), false);
  });

  it('mounts the Secret read-only, for its group alone', () => {
    const volumes = at(pod(), 'volumes');
    assert.deepEqual(at(volumes, '1.secret'), { secretName: 'postern', defaultMode: 0o440 });
    assert.equal(at(pod(), 'securityContext.fsGroup'), 1000);
    assert.deepEqual(at(pod(), 'containers.0.volumeMounts.1'), {
      name: 'secrets',
      mountPath: '/run/secrets/postern',
      readOnly: true,
    });
  });

  it('lets the audit of a pod outlive it, in a folder of the pod’s name', async () => {
    assert.deepEqual(at(pod(), 'volumes.3.persistentVolumeClaim'), { claimName: 'postern-audit' });
    assert.deepEqual(at(pod(), 'containers.0.volumeMounts.3'), {
      name: 'audit',
      mountPath: '/var/lib/postern/audit',
      subPathExpr: '$(POD_NAME)',
    });
    const all = { name: 'audit', mountPath: '/var/lib/postern/audits', readOnly: true };
    assert.deepEqual(at(pod(), 'containers.0.volumeMounts.4'), all, 'those of pods that are gone');
    assert.match(JSON.stringify(find(objects, 'ConfigMap')), /file: \/var\/lib\/postern\/audit\/audit\.jsonl/);
  });

  it('has its keys rotated in a folder, with the configuration of the page', async (t) => {
    const [text = ''] = /^# rotation\.yaml\n[^`]*/m.exec(page) ?? [];
    await using redis = await startRedisServer(['--requirepass', 'secret']);
    const folder = filesOf(t, {
      'rotation.yaml': text.replace('redis://127.0.0.1:6379/0', redis.url),
      'redis-password': 'secret\n',
    });
    const keys = async (...args: readonly string[]) =>
      runProgram(process.execPath, [postern, 'keys', ...args], { cwd: folder });
    await chmod(join(folder, 'redis-password'), 0o600);
    const old = idIn(await keys('create', 'keys'));
    const added = idIn(await keys('add', '-c', 'rotation.yaml'));
    await keys('promote', '-c', 'rotation.yaml', added);
    assert.match(await keys('list', '-c', 'rotation.yaml'), new RegExp(`${added} +promoted`));
    await assert.rejects(keys('retire', '-c', 'rotation.yaml', old), { stderr: /may last until/ });
    assert.match(await keys('retire', '--now', '-c', 'rotation.yaml', old), /^Retired/);
  });

  it('comes with a claim for that, which the example names', async () => {
    const claim: Field = parse(await readFile(fileURLToPath(new URL('audit-claim.yaml', helmFolder)), 'utf8'));
    assert.deepEqual(problemsOf(claim), []);
    assert.equal(at(claim, 'metadata.name'), at(pod(), 'volumes.3.persistentVolumeClaim.claimName'));
    assert.deepEqual(at(claim, 'spec.accessModes'), ['ReadWriteMany']);
  });

  it('asks the operators’ listener whether the node lives and is ready', () => {
    const probes = ['startupProbe', 'livenessProbe', 'readinessProbe'];
    assert.deepEqual(
      probes.map((probe) => at(pod(), `containers.0.${probe}.httpGet`)),
      ['/-/live', '/-/live', '/-/ready'].map((asked) => ({ path: asked, port: 'operators' })),
    );
  });

  it('lets a machine be emptied whose pod is not ready', () => {
    assert.equal(at(find(objects, 'PodDisruptionBudget'), 'spec.unhealthyPodEvictionPolicy'), 'AlwaysAllow');
  });

  it('closes the operators’ port to all but those that are named', async () => {
    const closed = find(await render(values, '--set', 'networkPolicy.ingressFrom=null'), 'NetworkPolicy');
    assert.equal(ingressOf(closed), '[{"ports":[{"port":"http","protocol":"TCP"}]}]');
    const open = find(await render(everything), 'NetworkPolicy');
    assert.match(ingressOf(open), /"port":"operators".*"monitoring"/);
    assert.deepEqual(at(open, 'spec.policyTypes'), ['Ingress', 'Egress']);
  });

  it('brings the alerts as they are, for the Prometheus operator', async () => {
    assert.ok(!JSON.stringify(objects).includes('PrometheusRule'));
    const file = fileURLToPath(new URL('../../deploy/prometheus/rules.yml', import.meta.url));
    const labels = 'prometheusRule.labels.release=prometheus';
    const rendered = await render(values, '--set-file', `prometheusRule.rules=${file}`, '--set', labels);
    const rule = find(rendered, 'PrometheusRule');
    assert.deepEqual(problemsOf(rule), []);
    assert.deepEqual(at(rule, 'spec'), parse(await readFile(file, 'utf8')));
    assert.equal(at(rule, 'metadata.labels.release'), 'prometheus');
  });

  it('makes new pods of a changed configuration, and only then; old pods keep theirs', async () => {
    assert.equal(at(find(objects, 'ConfigMap'), 'immutable'), true);
    for (const set of ['config.sessions.idle_timeout=10 min', 'files.users\\.map=bob@example.org: a']) {
      const changed = await render(values, '--set', set);
      assert.notEqual(configMapOf(changed), configMapOf(objects));
      assert.equal(textAt(find(changed, 'ConfigMap'), 'metadata.name'), configMapOf(changed));
    }
    const more = await render(values, '--set', 'replicaCount=5,image.tag=next');
    assert.equal(configMapOf(more), configMapOf(objects));
  });

  it('keeps the clients’ addresses behind a balancer outside the cluster', async () => {
    assert.equal(await trafficPolicy(), undefined, 'Kubernetes refuses it there');
    for (const type of ['NodePort', 'LoadBalancer']) assert.equal(await trafficPolicy(`service.type=${type}`), 'Local');
    assert.equal(await trafficPolicy('service.type=NodePort', 'service.externalTrafficPolicy=Cluster'), 'Cluster');
  });

  it('lets OpenShift choose user and groups', async () => {
    const chosen = ['runAsUser', 'runAsGroup', 'fsGroup'].flatMap((key) => ['--set', `podSecurityContext.${key}=null`]);
    assert.deepEqual(at(find(await render(values, ...chosen), 'Deployment'), 'spec.template.spec.securityContext'), {
      runAsNonRoot: true,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    });
  });

  it('is of the program’s version, and says after the installation what to try', async () => {
    const { version } = JSON.parse(
      await readFile(fileURLToPath(new URL('../../package.json', import.meta.url)), 'utf8'),
    );
    assert.equal(at(pod(), 'containers.0.image'), `postern:${version}`);
    const [, repository = ''] = /--set (image\.repository=\S+)/.exec(page) ?? [];
    const pulled = find(await render(values, '--set', repository), 'Deployment');
    const image = textAt(pulled, 'spec.template.spec.containers.0.image');
    assert.ok(page.includes(`docker push ${image}\n`) && page.includes(` -t ${image} .\n`), `the page pushes ${image}`);
    assert.ok(page.includes(` ${image} keys create `), `the page makes the keys by ${image}`);
    const notes = await helm(['install', 'mail', '--dry-run=client'], values);
    assert.match(notes, /exec deployment\/mail-postern -- postern check --online/);
  });

  describe('refuses, in one sentence with what to do,', () => {
    const cases: readonly (readonly [what: string, set: string, said: RegExp])[] = [
      [
        'no secret',
        'existingSecret=',
        /existingSecret is empty: make the server keys .*and set existingSecret=postern\n/,
      ],
      ['no public address', 'config.public_url=', /config\.public_url is missing: set it to what users type/],
      ['no directory', 'config.directory=null', /config\.directory\.sources is missing: say where users live, such as/],
      ['no backend', 'config.backends=null', /config\.backends is missing: name the mail servers/],
      ['no Redis', 'config.sessions.redis=null', /config\.sessions\.redis is missing: .*set it to a URL such as/],
      [
        'an audit that ends with its pod',
        'audit.existingClaim=',
        /the audit would be lost with its pod: set audit\.existing/,
      ],
      [
        'two times of a stop',
        'config.shutdown.delay=9s',
        /config\.shutdown belongs under shutdown: set shutdown\.delaySec/,
      ],
      ['an unknown value', 'replicas=3', /additional properties 'replicas' not allowed/],
      ['a digest that is none', 'image.digest=latest', /'latest' does not match pattern/],
    ];
    for (const [what, set, said] of cases) {
      it(what, async () => {
        await assert.rejects(render(values, '--set', set), { stderr: said });
      });
    }

    it('a map that no ConfigMap holds', async () => {
      const large = values.replace('alice@example.org: a\n', (line) => line + `${' '.repeat(4)}${line}`.repeat(60_000));
      await assert.rejects(render(large), { stderr: /larger than 1 MiB, .*: ask a server instead of a large map/ });
    });

    it('unless the loss of the audit is accepted, or syslog keeps it', async () => {
      const syslog = 'config.audit.syslog.url=tls://siem.internal:6514';
      for (const given of ['audit.ephemeral=true', syslog]) {
        const rendered = await render(values, '--set', 'audit.existingClaim=', '--set', given);
        assert.deepEqual(at(find(rendered, 'Deployment'), 'spec.template.spec.volumes.3.emptyDir'), {});
      }
    });
  });
});
