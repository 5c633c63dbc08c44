/** A generation of Dovecot, by the version with which its configuration changed. */
export type DovecotGeneration = '2.3' | '2.4';

interface DovecotPlace {
  /** Has the samples, and takes everything that Dovecot writes. */
  readonly directory: string;
  readonly port: number;
  /** 0 for no TLS. */
  readonly tlsPort: number;
}

/** A whole dovecot.conf of a test, which includes the samples as a site would. */
export function dovecotConfiguration(generation: DovecotGeneration, place: DovecotPlace): string {
  const { directory, port } = place;
  const samples = ['postern.conf', 'restricted-master.conf', 'last-login.conf'];
  return `${generation === '2.3' ? head23(place) : head24(place)}
base_dir = ${directory}/run
state_dir = ${directory}/run
instance_name = postern-test-${port}
log_path = ${directory}/dovecot.log
protocols = imap
listen = 127.0.0.1
mail_uid = mail
mail_gid = mail
first_valid_uid = 8
${samples.map((name) => `!include ${directory}/${name}\n`).join('')}
# The tests ask for refusals often, and measure no times.
auth_failure_delay = 0
${generation === '2.3' ? users23(place) : users24(place)}
service imap-login {
  inet_listener imap {
    port = ${port}
  }
  inet_listener imaps {
    port = ${place.tlsPort}
    ssl = yes
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
`;
}

function head23({ directory, tlsPort }: DovecotPlace): string {
  const pem = `${directory}/dovecot.pem`;
  return `disable_plaintext_auth = no
mail_location = maildir:~/Maildir
${tlsPort === 0 ? 'ssl = no' : `ssl = yes\nssl_cert = <${pem}\nssl_key = <${pem}`}`;
}

function users23({ directory }: DovecotPlace): string {
  return `passdb {
  driver = passwd-file
  args = ${directory}/users
}
userdb {
  driver = static
  args = uid=mail gid=mail home=${directory}/mail/%u
}`;
}

function head24({ directory, tlsPort }: DovecotPlace): string {
  const pem = `${directory}/dovecot.pem`;
  return `dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
auth_allow_cleartext = yes
mail_driver = maildir
mail_path = ~/Maildir
${tlsPort === 0 ? 'ssl = no' : `ssl = yes\nssl_server_cert_file = ${pem}\nssl_server_key_file = ${pem}`}`;
}

function users24({ directory }: DovecotPlace): string {
  return `passdb users {
  driver = passwd-file
  passwd_file_path = ${directory}/users
}
userdb static {
  fields {
    uid = mail
    gid = mail
    home = ${directory}/mail/%{user}
  }
}`;
}
