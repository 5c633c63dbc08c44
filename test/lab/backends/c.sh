# backend c: Dovecot + SOGo (PostgreSQL, memcached). Two sogod: form login, and trusted-header login.
PGBIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
pg() { runuser -u postgres -- "$@"; }
sql_c() { pg psql -qAt -h "$RUN/pg" -p "$P_PG" "$@"; }
sogod_up() { # name port imap-login-column memcached-port extra args...
  local name=$1 port=$2 SOGO_IMAPLOGIN=$3 SOGO_MC=$4 k v args=(); shift 4
  running "$RUN/sogo-$name.pid" sogod && return
  render "$LAB/tpl/sogo.conf" >"$CONF/sogo-$name.conf"
  while IFS='=' read -r k v; do args+=("-$k" "$v"); done <"$CONF/sogo-$name.conf"
  mkdir -p "$RUN/sogohome"; chown sogo "$RUN/sogohome" "$LOG" "$RUN"
  HOME=$RUN/sogohome setsid runuser -u sogo -- env HOME="$RUN/sogohome" /usr/sbin/sogod "${args[@]}" "$@" -WOPort "$IP:$port" \
    -WOPidFile "$RUN/sogo-$name.pid" -WOLogFile "$LOG/sogo-$name.log" >>"$LOG/sogo-$name.out" 2>&1 </dev/null
  wait_port "$IP" "$port" "sogod $name"
}
memcached_up() { # name port
  running "$RUN/$1.pid" memcached && return
  setsid memcached -u nobody -l "$IP" -p "$2" -m 32 >/dev/null 2>&1 </dev/null &
  echo $! >"$RUN/$1.pid"; wait_port "$IP" "$2" memcached
}
up_c() {
  dovecot_up
  ln -sfn "$DATA/pg/postmaster.pid" "$RUN/postgres.pid"
  if ! running "$RUN/postgres.pid" postgres; then
    if [ ! -s "$DATA/pg/PG_VERSION" ]; then
      mkdir -p "$DATA/pg"; chown postgres "$DATA/pg"
      pg "$PGBIN/initdb" -D "$DATA/pg" -E UTF8 --locale=C.UTF-8 -A trust --no-sync >"$LOG/initdb.log" 2>&1 || die "initdb failed"
    fi
    mkdir -p "$RUN/pg"; chown postgres "$RUN/pg"; : >"$LOG/postgres.log"; chown postgres "$LOG/postgres.log"
    pg "$PGBIN/pg_ctl" -s -w -D "$DATA/pg" -l "$LOG/postgres.log" start \
      -o "-c listen_addresses=$IP -c port=$P_PG -c unix_socket_directories=$RUN/pg -c fsync=off" || die "postgres did not start"
  fi
  if ! sql_c -d postgres -c "select 1 from pg_database where datname='sogo'" | grep -q 1; then
    sql_c -d postgres -c "create role sogo login password 'sogo'" -c "create database sogo owner sogo"
    sql_c -d sogo -c "create table sogo_users (c_uid varchar primary key, c_name varchar, c_password varchar, c_cn varchar, mail varchar, c_imap varchar, c_imapmaster varchar); alter table sogo_users owner to sogo"
    users_of c | while IFS=$'\t' read -r _ u p n; do
      sql_c -d sogo -c "insert into sogo_users values ('$u','$u','$p','$n','$u','$u','$u*$GATE_USER')"; done
  fi
  # two caches: SOGo keeps a user's attributes (among them the IMAP login name) in memcached
  memcached_up memcached "$P_MC"; memcached_up memcached2 "$P_MC2"
  sogod_up form "$P_SOGO" c_imap "$P_MC"
  sogod_up header "$P_SOGO2" c_imapmaster "$P_MC2" -SOGoTrustProxyAuthentication YES
  cat >"$CONF/nginx-maps.conf" <<'L'
  map $http_x_forwarded_proto $lab_proto { default $scheme; https https; }
  map $http_x_forwarded_host $lab_host { default $http_x_forwarded_host; '' $http_host; }
L
  # Header login: for IMAP SOGo takes the password out of "Authorization: Basic b64(USER:PASSWORD)", where
  # USER must be the x-webobjects-remote-user; the gateway sends it, with the Dovecot master password
  nginx_conf "$LAB/tpl/nginx-sogo.conf" SOGO_PORT SOGO_RUSER SOGO_AUTH >"$CONF/nginx.conf" <<L
$P_HTTP plain $P_SOGO "" ""
$P_HTTPS ssl $P_SOGO "" ""
$P_HDR plain $P_SOGO2 \$sso_user Basic
L
  nginx_up
}
down_c() {
  stop_pid "$RUN/nginx.pid" nginx QUIT
  # sogod's watchdog notices a signal only after up to half a minute
  stop_pid "$RUN/sogo-form.pid" sogod TERM 1; stop_pid "$RUN/sogo-header.pid" sogod TERM 1
  stop_pid "$RUN/memcached.pid" memcached; stop_pid "$RUN/memcached2.pid" memcached
  stop_pid "$RUN/postgres.pid" postgres INT   # fast: it waits for no client
  dovecot_down
}
expire_c() { # SOGo keeps sessions in SQL, cached in memcached
  sql_c -d sogo -c 'delete from sogo_sessions_folder'
  local p; for p in $P_MC $P_MC2; do
    exec 3<>"/dev/tcp/$IP/$p" && printf 'flush_all\r\nquit\r\n' >&3 && cat <&3 >/dev/null; exec 3>&-
  done
}
