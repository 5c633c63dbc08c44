# backends a and b: Dovecot + Roundcube, each with its own database; b demands TLS and has SameSite and ip_check.
roundcube_up() { # $1: SameSite as PHP literal, $2: ip_check, $3: imap uri
  local RC_SAMESITE=$1 RC_IPCHECK=$2 RC_IMAP=$3 d rc=$RUN/rc
  running "$RUN/fpm.pid" php-fpm && running "$RUN/nginx.pid" nginx && return
  if [ -n "${LAB_ROUNDCUBE:-}" ]; then roundcube_checkout "$LAB_ROUNDCUBE" "$rc"; else roundcube_debian "$rc"; fi
  rm -rf "$rc/plugins/lab_sso"; cp -r "$LAB/plugins/lab_sso" "$rc/plugins/"   # www-data must be able to read it
  render "$LAB/tpl/roundcube.inc.php" >"$rc/config/config.inc.php"
  if [ ! -s "$DATA/roundcube.db" ]; then
    sqlite3 "$DATA/roundcube.db" <"$rc/SQL/sqlite.initial.sql"; chown www-data "$DATA/roundcube.db"
  fi
  fpm_up
  nginx_conf "$LAB/tpl/nginx-roundcube.conf" VARIANT >"$CONF/nginx.conf" <<L
$P_HTTP plain form
$P_HTTPS ssl form
$P_BASIC plain basic
$P_HDR plain header
$P_SHORT plain short
L
  nginx_up
}
roundcube_debian() { # links to the installed one
  local rc=$1 d
  mkdir -p "$rc/config" "$rc/public_html/program" "$rc/plugins" "$rc/skins"
  ln -sfn /usr/share/roundcube/index.php "$rc/index.php"
  ln -sfn /usr/share/roundcube/program "$rc/program"
  ln -sfn /usr/share/roundcube/SQL "$rc/SQL"
  for d in /usr/share/roundcube/plugins/*; do ln -sfn "$d" "$rc/plugins/${d##*/}"; done
  for d in /usr/share/roundcube/skins/*; do ln -sfn "$d" "$rc/skins/${d##*/}"; done
  for d in plugins skins; do ln -sfn "../$d" "$rc/public_html/$d"; done
  for d in js resources; do ln -sfn "/usr/share/roundcube/program/$d" "$rc/public_html/program/$d"; done
  printf "<?php\ndefine('INSTALL_PATH', '%s/');\ninclude INSTALL_PATH . 'index.php';\n" "$rc" >"$rc/public_html/index.php"
  ln -sfn /etc/roundcube/defaults.inc.php "$rc/config/defaults.inc.php"
  ln -sfn /etc/roundcube/mimetypes.php "$rc/config/mimetypes.php"
}
roundcube_checkout() { # a copy of another version, which somebody laid there by hand
  mkdir -p "$2"; cp -r "$1"/. "$2/"
}
up_a() { dovecot_up; roundcube_up null false "$IP:$P_IMAP"; }
up_b() { dovecot_up; roundcube_up "'Lax'" true "ssl://$IP:$P_IMAPS"; }
down_a() { web_down; dovecot_down; }
down_b() { web_down; dovecot_down; }
expire_a() { sqlite3 "$DATA/roundcube.db" 'pragma busy_timeout=5000; delete from session' >/dev/null; }
expire_b() { expire_a; }
