import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../ports.fixture.ts';
import { type RunningProgram, runProgram, startProgram } from '../../programs.ts';
import { temporaryDirectory } from '../directory.fixture.ts';
import { type Certificates, makeCertificates } from './certificates.fixture.ts';

/** A real slapd of a test: StartTLS on `port`, LDAPS on `tlsPort`. Only `bindDn` may read. */
export interface Slapd extends AsyncDisposable, Certificates {
  readonly port: number;
  readonly tlsPort: number;
  readonly base: string;
  readonly bindDn: string;
  readonly bindPassword: string;
  /** Replaces or makes an entry `cn=…` with these attributes. */
  put(cn: string, attributes: Readonly<Record<string, string | readonly string[]>>): Promise<void>;
  /** Adds any LDIF. */
  add(ldif: string): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

const base = 'dc=example,dc=test';
const admin = `cn=admin,${base}`;
const password = 'admin-pw';

export async function startSlapd(): Promise<Slapd> {
  const folder = await temporaryDirectory();
  const certificates = await makeCertificates(folder.path);
  const [port, tlsPort] = [await freePort(), await freePort()];
  await mkdir(join(folder.path, 'db'));
  await writeFile(join(folder.path, 'slapd.conf'), configuration(folder.path, certificates));
  const env = { LDAPTLS_CACERT: certificates.caFile };
  const url = `ldap://127.0.0.1:${port}`;
  const bound = ['-x', '-ZZ', '-H', url, '-D', admin, '-w', password];
  const launch = (): Promise<RunningProgram> =>
    startProgram(
      '/usr/sbin/slapd',
      ['-d', '0', '-f', join(folder.path, 'slapd.conf'), '-h', `${url} ldaps://127.0.0.1:${tlsPort}`],
      {
        isReady: () => runProgram('ldapwhoami', bound, { env }),
      },
    );
  let running = await launch();
  const add = async (ldif: string): Promise<void> =>
    void (await runProgram('ldapmodify', ['-a', ...bound], { input: ldif, env }));
  await add(
    `dn: ${base}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n` +
      `dn: cn=reader,${base}\nobjectClass: person\ncn: reader\nsn: reader\nuserPassword: reader-pw\n`,
  );
  return {
    ...certificates,
    port,
    tlsPort,
    base,
    bindDn: `cn=reader,${base}`,
    bindPassword: 'reader-pw',
    add,
    async put(cn, attributes) {
      const dn = `dn:: ${base64(`cn=${cn.replace(/[\\,+"<>;=#]/g, '\\$&')},ou=people,${base}`)}`;
      const lines = Object.entries(attributes).flatMap(([name, values]) =>
        [values].flat().map((value) => `${name}:: ${base64(value)}`),
      );
      const people = `dn: ou=people,${base}\nobjectClass: organizationalUnit\nou: people\n`;
      await runProgram('ldapmodify', ['-c', '-a', ...bound], { input: people, env }).catch(() => {});
      await runProgram('ldapdelete', ['-c', ...bound], { input: `cn=${cn},ou=people,${base}\n`, env }).catch(() => {});
      await add(
        `${dn}\nobjectClass: inetOrgPerson\nobjectClass: extensibleObject\nsn: x\ncn:: ${base64(cn)}\n${lines.join('\n')}\n`,
      );
    },
    stop: () => running.kill(),
    async start() {
      running = await launch();
    },
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function configuration(folder: string, { caFile, certificateFile, keyFile }: Certificates): string {
  return `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.3.6.1.4.1.99999.1 NAME 'mailHost' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.2 NAME 'noLogin' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.3 NAME 'login' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
pidfile ${folder}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile ${caFile}
TLSCertificateFile ${certificateFile}
TLSCertificateKeyFile ${keyFile}
sizelimit 100
database mdb
suffix "${base}"
directory ${folder}/db
rootdn "${admin}"
rootpw ${password}
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=reader,${base}" read by * none
`;
}
