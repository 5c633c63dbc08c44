/**
 * For each section of the reference, something to copy. Together they are one good configuration, and a test loads it.
 */
export const referenceExamples: ReadonlyMap<string, string> = new Map([
  ['listen', 'listen: 0.0.0.0:8080'],
  ['public_url', 'public_url: [https://webmail.example.org, https://mail.example.com]'],
  ['tls', 'tls: { certificate_file: fullchain.pem, key_file: privkey.pem }'],
  ['trusted_proxies', 'trusted_proxies: [10.0.0.10, 10.0.0.11, "2001:db8:1::/64"]'],
  ['proxy_protocol', 'proxy_protocol: required'],
  ['operators', 'operators: { listen: 127.0.0.1:9090, socket: state/postern.sock, agent_check: 10.0.0.21:9091 }'],
  ['workers', 'workers: auto'],
  [
    'sessions',
    `sessions:
  redis: { url: rediss://postern@redis.internal:6379/0, password: { file: redis.password }, tls_ca_file: ca.crt }
  keys_file: state/keys
  idle_timeout: 30 min
  absolute_timeout: 12h`,
  ],
  ['state', 'state: { redis: redis://redis-durable.internal:6379/0 }'],
  ['audit', 'audit: { file: /var/log/postern/audit.jsonl, syslog: { url: tls://siem.internal, tls_ca_file: ca.crt } }'],
  ['moves', 'moves: { before: /usr/local/bin/carry-mailbox, after: /usr/local/bin/tell-ldap }'],
  [
    'directory',
    `directory:
  default_domain: example.org
  domain_aliases: { example.com: example.org }
  detail_separator: "+"
  sources:
    - { type: map, file: users.map }
    - { type: static, backend: old }`,
  ],
  ['directory_service', 'directory_service: { listen: 127.0.0.1:9092, allow: [127.0.0.1, 192.0.2.31] }'],
  ['passdb', 'passdb: { tls_ca_file: ca.crt }'],
  [
    'login',
    `login:
  refusal_after: 3s
  exempt_networks: [192.0.2.0/24]
  branding:
    name: Example Mail
    logo: logo.svg
    logo_dark: logo-dark.svg
    accent: "#0b6e4f"
    links: [{ label: Forgot your password?, url: https://id.example.org/reset }]
    default_locale: de`,
  ],
  [
    'support',
    `support:
  console: https://support.example.org
  assist: https://assist.example.org
  staff:
    sam@example.org: { roles: [support], domains: [example.org] }
    olga@example.org: operator
    ada@example.org: auditor
  never_opened: [head@example.org]
  notice: message`,
  ],
  [
    'backend_defaults',
    `backend_defaults:
  driver: roundcube
  imap: imaps://$host
  webmail: http://$host/mail/
  tls_ca_file: ca.crt
  timeouts: { imap_auth: 10s }
  limits: { connections: 128 }`,
  ],
  [
    'backends',
    `backends:
  b1: mx1.internal
  b2: mx2.internal
  b2s: { host: mx5.internal, standby: [mx5b.internal], failover: manual }
  farm:
    imap: imaps://store.internal
    hosts: [{ host: web1.internal, weight: 2 }, web2.internal]
  b3: { host: mx3.internal, webmail: https://webmail3.internal/, limits: { connections: 512 } }
  old: { imap: imap://192.0.2.7, webmail: { url: https://192.0.2.7/, tls_server_name: old.example.org }, driver: none }`,
  ],
  ['include', 'include: backends.d/*.yaml'],
  ['requests', 'requests: { header_size: 24 KiB, drop_headers: [X-Department] }'],
  ['log', 'log: { level: info, requests: 0.01 }'],
  ['shutdown', 'shutdown: { delay: 10s, deadline: 2 min }'],
]);
