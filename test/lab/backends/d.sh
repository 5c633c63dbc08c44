# backend d: Cyrus IMAP + Horde IMP; mupdate: Cyrus murder master; perdition: IMAP/POP3 proxy
syslog_up() { # only where the machine has no syslog
  running "$VAR/syslog.pid" python3 && return
  [ -S /dev/log ] && ss -Hxa src /dev/log | grep -q . && return   # somebody reads there
  rm -f /dev/log
  setsid "$PY" "$LAB/bin/syslog-sink.py" /dev/log "$VAR/syslog.log" >/dev/null 2>&1 </dev/null &
  echo $! >"$VAR/syslog.pid"; local i; for i in $(seq 50); do [ -S /dev/log ] && break; sleep 0.1; done
}
sasl_user() { printf %s "$2" | saslpasswd2 -p -c -f "$CONF/sasldb2" -u "$3" "$1"; }   # name password realm
cyrus_dirs() {
  mkdir -p "$DATA"/cyrus/{db,log,msg,proc,socket,user,quota,ptclient,sync,lock,sieve,backup} "$DATA/spool" "$RUN/proc" "$RUN/lock"
  # Cyrus looks the mupdate port up by name (it ignores mupdate_port when it connects)
  # Cyrus knows the port by this name alone: the line of a lab that was moved aside (LAB_PORT_OFFSET) gives way.
  grep -q "^mupdate[[:space:]]*$P_MUPDATE/tcp" /etc/services || {
    sed -i '/^mupdate[[:space:]].*# webmail lab$/d' /etc/services
    printf 'mupdate\t\t%s/tcp\t\t\t# webmail lab\n' "$P_MUPDATE" >>/etc/services
  }
  chown -R cyrus:mail "$DATA/cyrus" "$DATA/spool" "$RUN" 2>/dev/null
  chown cyrus:mail "$CONF/sasldb2"; chmod 640 "$CONF/sasldb2"
}
cyrus_start() {
  quiet /usr/lib/cyrus/bin/master -C "$CONF/imapd.conf" -M "$CONF/cyrus.conf" -p "$RUN/cyrus-master.pid" -d -L "$LOG/master.log" || die "cyrus master $BE did not start"
}
up_mupdate() {
  syslog_up
  running "$RUN/cyrus-master.pid" master && return
  render "$LAB/tpl/mupdate-imapd.conf" >"$CONF/imapd.conf"; render "$LAB/tpl/mupdate-cyrus.conf" >"$CONF/cyrus.conf"
  if [ ! -s "$CONF/sasldb2" ]; then
    local r; for r in "$IP" "$LAB_DOMAIN"; do sasl_user "$CYRUS_ADMIN" "$CYRUS_ADMIN_PW" $r; sasl_user murder murder-pw $r; sasl_user "$GATE_USER" "$GATE_PW" $r; done
  fi
  cyrus_dirs; cyrus_start; wait_port "$IP" "$P_MUPDATE" mupdate
}
down_mupdate() { stop_pid "$RUN/cyrus-master.pid" master; syslog_down; }
syslog_down() { # when neither Cyrus nor Perdition run any more
  local p; for p in d/run/cyrus-master mupdate/run/cyrus-master perdition/run/imap4; do running "$VAR/$p.pid" && return; done
  stop_pid "$VAR/syslog.pid" python3
}
up_d() {
  syslog_up
  running "$VAR/mupdate/run/cyrus-master.pid" || { setbe mupdate; up_mupdate; setbe d; }   # d announces its mailboxes there
  if ! running "$RUN/cyrus-master.pid" master; then
    render "$LAB/tpl/cyrus-imapd.conf" >"$CONF/imapd.conf"; render "$LAB/tpl/cyrus-cyrus.conf" >"$CONF/cyrus.conf"
    if [ ! -s "$CONF/sasldb2" ]; then
      local r; for r in "$IP" "$LAB_DOMAIN"; do
        sasl_user "$CYRUS_ADMIN" "$CYRUS_ADMIN_PW" $r; sasl_user "$GATE_USER" "$GATE_PW" $r; sasl_user "$MASTER_USER" "$MASTER_PW" $r; done
      users_of d | while IFS=$'\t' read -r _ u p _; do sasl_user "${u%@*}" "$p" "$LAB_DOMAIN"; sasl_user "${u%@*}" "$p" "$IP"; done
    fi
    cyrus_dirs; cyrus_start; wait_port "$IP" "$P_IMAP" "cyrus d"
  fi
  horde_up
}
down_d() { web_down; stop_pid "$RUN/cyrus-master.pid" master; syslog_down; }

# ---------------------------------------------------------------- murder entries and Perdition
home_map() { # user<TAB>ip of the home backend; the last line of users.tsv wins (mia moved from a to b)
  grep -v '^#' "$LAB/users.tsv" | while IFS=$'\t' read -r b u _; do local n=IP_$b; printf '%s\t%s\n' "$u" "${!n}"; done \
    | awk -F'\t' '{m[$1]=$2} END {for (u in m) print u "\t" m[u]}' | sort
}
announce_users() { # users of the Dovecot backends are announced at the mupdate master, as a Cyrus backend would do
  running "$VAR/mupdate/run/cyrus-master.pid" || return 0
  local a=() u ip; while IFS=$'\t' read -r u ip; do
    [ "$ip" = "$IP_d" ] || a+=("user.${u%@*}" "$ip!default" "${u%@*}"$'\tlrswipkxtecdan\t'); done < <(home_map)
  "$PY" "$LAB/bin/mupdate.py" "$IP_mupdate" "$P_MUPDATE" murder murder-pw activate "${a[@]}" >/dev/null
}
up_perdition() {
  syslog_up
  home_map | awk -F'\t' -v p="$P_IMAP" '{print $1 ":" $2}' >"$CONF/popmap"
  [ -s "$CONF/popmap.gdbm" ] && [ "$CONF/popmap" -ot "$CONF/popmap.gdbm" ] || { rm -f "$CONF/popmap.gdbm"; makegdbm "$CONF/popmap.gdbm" <"$CONF/popmap"; }
  : >"$CONF/perdition.conf"
  local p port; for p in imap4 pop3; do
    running "$RUN/$p.pid" perdition && continue
    [ $p = imap4 ] && port=$P_IMAP || port=$P_POP3
    quiet "/usr/sbin/perdition.$p" -f "$CONF/perdition.conf" -b "$IP" -l "$port" -p "$port" -o -u nobody -g nogroup \
      -M "$(ls /usr/lib/*/libperditiondb_gdbm.so.0)" -m "$CONF/popmap.gdbm" --pid_file "$RUN/$p.pid" || say "perdition $p did not start"
    wait_port "$IP" "$port" "perdition $p"
  done
}
down_perdition() { stop_pid "$RUN/imap4.pid" perdition; stop_pid "$RUN/pop3.pid" perdition; syslog_down; }

# ---------------------------------------------------------------- Horde IMP
horde_up() {
  is_in_release php-horde-imp || return 0
  local h=$RUN/web/horde
  if [ ! -d "$h" ]; then
    mkdir -p "$RUN/web"; cp -a /usr/share/horde "$h"
    rm "$h/config" "$h/imp/config" "$h/static"
    cp -r /etc/horde/horde "$h/config"; cp -r /etc/horde/imp "$h/imp/config"; mkdir "$h/static"; chown www-data "$h/static"
  fi
  # what leads out of there by a relative way, such as its scripts and themes
  (cd "$h" && find . -xtype l | while read -r l; do ln -sfn "$(readlink -m "/usr/share/horde/$l")" "$l"; done)
  mkdir -p "$DATA/prefs" "$DATA/vfs" "$RUN/rctmp"; chown www-data "$DATA/prefs" "$DATA/vfs"
  render "$LAB/tpl/horde-conf.php" >"$h/config/conf.php"
  printf '<?php\n// generated by lab\n$conf["user"]["allow_view_source"] = true;\n$conf["server"]["server_list"] = "none";\n$conf["compose"]["use_vfs"] = false;\n$conf["compose"]["link_attachments"] = false;\n$conf["compose"]["attach_size_limit"] = 0;\n$conf["compose"]["attach_count_limit"] = 0;\n$conf["compose"]["reply_limit"] = 200000;\n$conf["compose"]["ac_threshold"] = 3;\n$conf["compose"]["htmlsig_img_size"] = 30000;\n$conf["pgp"]["keylength"] = 1024;\n$conf["maillog"]["driver"] = "none";\n$conf["sentmail"]["driver"] = "Null";\n$conf["contactsimage"]["backends"] = array();\n$conf["tasklist"]["use_tasklist"] = false;\n$conf["notepad"]["use_notepad"] = false;\n' >"$h/imp/config/conf.php"
  render "$LAB/tpl/horde-backends.php" >"$h/imp/config/backends.local.php"
  cp "$LAB/../../integrations/horde/hooks.php" "$h/config/"   # its master is $GATE_USER
  printf "<?php\n\$this->applications['horde']['webroot'] = '/horde';\n\$this->applications['imp']['webroot'] = '/horde/imp';\n\$this->applications['horde']['initial_page'] = 'imp';\n" >"$h/config/registry.local.php"
  # two helps for Horde 5 under PHP 8.2: Net_DNS2 dies on its empty cache file after the page is complete
  # (status 500; a directory in its place switches the cache off), and IMP still calls each()
  rm -f "$RUN/rctmp/horde_dns.cache$(hostname)" 2>/dev/null; mkdir -p "$RUN/rctmp/horde_dns.cache$(hostname)"
  fpm_up; chown www-data "$LOG"
  cp "$LAB/tpl/horde-prepend.php" "$CONF/prepend.php"
  nginx_conf "$LAB/tpl/nginx-horde.conf" VARIANT >"$CONF/nginx.conf" <<L
$P_HTTP plain form
$P_HTTPS ssl form
$P_HDR plain header
$P_HORDE_A plain dovecot
L
  nginx_up
}
expire_d() { rm -f "$RUN"/phpsess/sess_*; }
