import { copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { debianRoot } from '../debian-root.fixture.ts';
import { npm } from '../packages/checkout.fixture.ts';
import { exists, runProgram } from '../programs.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
const cache = '/var/cache/postern-tests';
const npmPackage = 'npm@11.21.2';
/** The base image of the Dockerfile, as its ARG names it. */
const baseName = 'docker.io/library/node:24-bookworm-slim';

/** The part of an image's configuration that the tests read (Docker's image specification, version 2). */
export interface ImageConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly WorkingDir: string;
  readonly StopSignal: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Healthcheck: { readonly Test: readonly string[] };
}

/** An image that was built from the Dockerfile, with a container of it mounted as a folder. */
export interface BuiltImage extends AsyncDisposable {
  readonly config: ImageConfig;
  /** The root of the container. */
  readonly root: string;
}

/**
 * Builds the image with Buildah, which needs no engine: its RUN lines run in a chroot.
 *
 * The real base image comes from a registry. Its place is taken by Debian 12 with this Node, npm and the user `node`
 * (1000:1000), which the tests make once.
 */
export async function buildImage(args: Readonly<Record<string, string>>): Promise<BuiltImage> {
  await using parts = new AsyncDisposableStack();
  const folder = await mkdtemp('/var/tmp/postern-image-');
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  const buildah = await openStorage(folder);
  parts.defer(async () => void (await buildah('rmi', '--all', '--force')));
  parts.defer(async () => void (await buildah('rm', '--all')));
  await buildah('pull', '-q', `oci-archive:${await baseArchive()}`);
  await buildah('tag', 'localhost/base', baseName);
  const given = Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]);
  const how = ['--isolation', 'chroot', '--pull-never', '--format', 'docker'];
  await buildah('bud', ...how, ...given, '-t', 'postern', checkout);
  const { Docker } = JSON.parse(await buildah('inspect', '--type', 'image', 'postern'));
  const container = (await buildah('from', '--pull-never', 'postern')).trim();
  const root = (await buildah('mount', container)).trim();
  const built = parts.move();
  return { config: Docker.config, root, [Symbol.asyncDispose]: () => built.disposeAsync() };
}

type Buildah = (...args: readonly string[]) => Promise<string>;

/** Layers lie on one another where the kernel can do that here; else they are copies. */
async function openStorage(folder: string): Promise<Buildah> {
  const withDriver =
    (driver: string): Buildah =>
    (...args) => {
      const places = ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run'), '--storage-driver', driver];
      return runProgram('buildah', [...places, ...args], { timeoutMs: 240_000 });
    };
  const overlay = withDriver('overlay');
  return overlay('info').then(
    () => overlay,
    () => withDriver('vfs'),
  );
}

/** The file with the stand-in for the base image. */
async function baseArchive(): Promise<string> {
  const file = join(cache, `node-${process.versions.node}-${npmPackage}.oci.tar`);
  if (await exists(file)) return file;
  await using debian = await debianRoot('bookworm');
  const local = join(debian.path, 'usr/local');
  await copyFile(process.execPath, join(local, 'bin/node'));
  await npm(['install', '--global', '--silent', '--prefix', local, npmPackage], local);
  await debian.run('groupadd', ['--gid', '1000', 'node']);
  await debian.run('useradd', ['--uid', '1000', '--gid', 'node', '--create-home', 'node']);
  await using parts = new AsyncDisposableStack();
  const folder = await mkdtemp('/var/tmp/postern-base-');
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  const buildah = await openStorage(folder);
  const container = (await buildah('from', 'scratch')).trim();
  parts.defer(async () => void (await buildah('rm', container)));
  await buildah('add', '--quiet', container, debian.path, '/');
  const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  const authorities = 'NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt';
  await buildah('config', '--env', path, '--env', authorities, container);
  await mkdir(cache, { recursive: true });
  await buildah('commit', '--quiet', container, `oci-archive:${file}.new:localhost/base`);
  await rename(`${file}.new`, file);
  return file;
}
