# SPDX-License-Identifier: ISC
# ./dev run: a server without root on 127.0.0.1, and a mail shown on its way.

run_domain=home.test
run_account=me@$run_domain
run_mx=127.0.0.1:2525
run_submission=127.0.0.1:2587
run_submissions=127.0.0.1:2465

task_run() {
	once=
	case ${1:-} in
	--once) once=yes ;;
	'') ;;
	*) die "unknown option: $1 (there is only --once)" ;;
	esac

	need_packages "$packages_build $packages_run" || exit 1
	step "Build"
	build_release || exit 1
	good "${run#"$tree"/}/build/pabal"

	run_choose_user
	run_choose_home
	run_prepare || exit 1
	trap run_stop EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	run_start || exit 1
	run_show
	if [ "$steps_failed" != 0 ]; then
		tail -n 15 "$home/log" | quote
		note "the server's log: $home/log"
		printf '\n%s%d steps went wrong%s\n' "$red" "$steps_failed" "$plain"
		exit 1
	fi
	run_tell
	if [ -n "$once" ]; then
		exit 0
	fi
	printf '\nThe server runs until Ctrl-C.\n'
	wait "$server_pid" || :
	bad "the server ended by itself"
	tail -n 15 "$home/log" | quote
	exit 1
}

# ---- who and where

# Root starts the server as the owner of the tree, or as nobody.
run_choose_user() {
	plain_user=$(id -u)
	if [ "$plain_user" = 0 ]; then
		plain_user=$(stat -c %u "$tree")
		[ "$plain_user" != 0 ] || plain_user=$(id -u nobody)
	fi
	plain_group=$(getent passwd "$plain_user" | cut -d: -f4)
	: "${plain_group:=$plain_user}"
}

# exec_plain COMMAND...: this process becomes it
exec_plain() {
	if [ "$(id -u)" = "$plain_user" ]; then
		exec "$@"
	fi
	exec setpriv --reuid="$plain_user" --regid="$plain_group" --clear-groups "$@"
}

as_plain() {
	(exec_plain "$@")
}

# Everything of the server is in .run/server. Where its user cannot come there
# (root's home is closed), that is a link to a folder in /var/tmp.
run_choose_home() {
	mkdir -p "$run"
	home=$run/server
	if as_plain test -x "$run"; then
		[ ! -L "$home" ] || rm "$home"
		mkdir -p "$home"
	elif [ ! -d "$home/" ]; then
		rm -f "$home"
		ln -s "$(mktemp -d /var/tmp/pabal-run.XXXXXX)" "$home"
	fi
	home=$(cd "$home" && pwd -P)
	chown "$plain_user:$plain_group" "$home"
	chmod 755 "$home"
}

# ---- certificate, account, configuration

run_prepare() {
	run_hostname=$(hostname -f 2>/dev/null || hostname)
	case $run_hostname in
	*.*) ;;
	*) run_hostname=$run_hostname.$run_domain ;;
	esac
	step "Certificate, configuration and account of $run_hostname"
	if [ -e "$home/pabal" ] && ! cmp -s "$run/build/pabal" "$home/pabal"; then
		rm -f "$home/pabal"
	fi
	[ -e "$home/pabal" ] || cp "$run/build/pabal" "$home/pabal"
	run_certificate || return 1
	run_config
	quietly "$run/log/check" as_plain "$home/pabal" check -c "$home/pabal.conf" || return 1
	run_make_account || return 1
	good "$home/pabal.conf"
}

# A private authority and a certificate from it, renewed a day before their end.
run_certificate() {
	tls=$home/tls
	if [ "$(cat "$tls/name" 2>/dev/null)" = "$run_hostname" ] &&
		openssl x509 -in "$tls/server.crt" -noout -checkend 86400 >/dev/null; then
		return 0
	fi
	rm -rf "$tls"
	mkdir -p "$tls"
	(umask 077 && quietly "$run/log/openssl" run_openssl) || return 1
	chmod 755 "$tls"
	chmod 644 "$tls/ca.crt" "$tls/server.crt"
	chown "$plain_user:$plain_group" "$tls/server.pem"
	echo "$run_hostname" >"$tls/name"
}

run_openssl() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 \
		-keyout "$tls/ca.key" -out "$tls/ca.crt" -subj "/CN=Private CA of dev run" \
		-addext basicConstraints=critical,CA:TRUE \
		-addext keyUsage=critical,keyCertSign,cRLSign &&
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 60 \
			-CA "$tls/ca.crt" -CAkey "$tls/ca.key" \
			-keyout "$tls/server.key" -out "$tls/server.crt" -subj "/CN=$run_hostname" \
			-addext basicConstraints=CA:FALSE -addext extendedKeyUsage=serverAuth \
			-addext "subjectAltName=DNS:$run_hostname,DNS:localhost,IP:127.0.0.1" &&
		cat "$tls/server.crt" "$tls/server.key" >"$tls/server.pem"
}

run_config() {
	cat >"$home/pabal.conf" <<-END
		# Written by ./dev run at every start.
		hostname   "$run_hostname"
		domains    { "$run_domain" }
		postmaster "$run_account"

		state-folder "$home/state"
		run-folder   "$home/run"
		log { to stderr }

		tls { certificate "$home/tls/server.pem" }

		server "mx"          { listen "$run_mx" }
		server "submission"  { listen "$run_submission"  require { tls auth } }
		server "submissions" { listen "$run_submissions" tls implicit  require { auth } }

		auth    { source "accounts" }
		deliver { maildir "$home/mail/%d/%u/Maildir" }
	END
	for folder in state run mail; do
		mkdir -p "$home/$folder"
		chown "$plain_user:$plain_group" "$home/$folder"
	done
	chmod 700 "$home/state" "$home/mail"
}

# The password is made once and stays in .run/server/password.
run_make_account() {
	if [ -s "$home/password" ] &&
		as_plain "$home/pabal" account show "$run_account" -c "$home/pabal.conf" >/dev/null 2>&1; then
		return 0
	fi
	[ -s "$home/password" ] || (umask 077 && openssl rand -base64 12 | tr '/+' '-_' >"$home/password")
	quietly "$run/log/account" run_account_add
}

run_account_add() {
	as_plain "$home/pabal" account add "$run_account" -c "$home/pabal.conf" <"$home/password"
}

# ---- the server

run_start() {
	step "Start the server, as user $(id -un "$plain_user" 2>/dev/null || echo "$plain_user")"
	(exec_plain "$home/pabal" serve -c "$home/pabal.conf") >"$home/log" 2>&1 </dev/null &
	server_pid=$!
	tries=0
	until run_answers; do
		tries=$((tries + 1))
		if [ $tries = 100 ] || ! kill -0 "$server_pid" 2>/dev/null; then
			bad "pabal serve"
			tail -n 15 "$home/log" | quote
			return 1
		fi
		sleep 0.1
	done
	good "$run_mx incoming mail, $run_submission submission, $run_submissions submission with TLS at once"
}

# All three listeners answer a real client.
run_answers() {
	curl -sf -o /dev/null --max-time 5 "smtp://$run_mx" -X NOOP &&
		curl -sf -o /dev/null --max-time 5 "smtp://$run_submission" -X NOOP &&
		curl -sf -o /dev/null --max-time 5 --cacert "$home/tls/ca.crt" "smtps://$run_submissions" -X NOOP
}

run_stop() {
	if [ -n "${server_pid:-}" ]; then
		kill "$server_pid" 2>/dev/null || :
		wait "$server_pid" 2>/dev/null || :
		server_pid=
	fi
}

# ---- the show

run_show() {
	mail_id="<$(date +%s).$$@$run_hostname>"
	run_message >"$home/message"
	run_show_submission
	run_show_delivery
	run_show_refusal "The same message without a password is refused" \
		"smtp://$run_submission/client.$run_domain" "$run_account"
	run_show_refusal "Relaying through $run_mx is refused" \
		"smtp://$run_mx/client.$run_domain" someone@elsewhere.test
}

run_message() {
	printf 'From: Me <%s>\r\nTo: Me <%s>\r\nSubject: the main job\r\nMessage-ID: %s\r\n\r\n' \
		"$run_account" "$run_account" "$mail_id"
	printf 'Sent by curl with STARTTLS and a password.\r\n'
}

# run_curl URL RECIPIENT [OPTION...]: the dialogue is left in .run/log/curl
run_curl() {
	url=$1 recipient=$2
	shift 2
	curl -sS -v --max-time 30 --ssl-reqd --cacert "$home/tls/ca.crt" "$@" \
		--mail-from "$run_account" --mail-rcpt "$recipient" \
		--upload-file "$home/message" "$url" >"$run/log/curl" 2>&1
}

# the last reply that matches, without curl's mark
run_reply() {
	tr -d '\r' <"$run/log/curl" | sed -n "s/^< \($1\)/\1/p" | tail -n 1
}

run_show_submission() {
	step "Submit a message on $run_submission with STARTTLS and a password (curl)"
	# by standard input: an argument could be read by everybody
	printf 'user = "%s:%s"\n' "$run_account" "$(cat "$home/password")" |
		run_curl "smtp://$run_submission/client.$run_domain" "$run_account" --config - &&
		good "$(run_reply '250 .*')" && return 0
	bad "curl could not submit it"
	tail -n 15 "$run/log/curl" | quote
}

run_show_delivery() {
	step "It is delivered"
	inbox=$home/mail/$run_domain/${run_account%@*}/Maildir/new
	tries=0
	delivered=
	while [ $tries -lt 100 ]; do
		delivered=$(grep -lFr -e "$mail_id" "$inbox" 2>/dev/null | head -n 1)
		[ -z "$delivered" ] || break
		tries=$((tries + 1))
		sleep 0.1
	done
	if [ -z "$delivered" ]; then
		bad "nothing came into $inbox"
		return 0
	fi
	good "$delivered"
	tr -d '\r' <"$delivered" | quote
	if run_received | grep -q 'TLSv1\.[23].*TLS_\|TLSv1\.[23].*cipher\|TLSv1\.[23].*ECDHE'; then
		good "its Received field names the TLS version and the cipher"
	else
		bad "its Received field does not name the TLS version and the cipher"
	fi
}

# the first Received field, in one line
run_received() {
	tr -d '\r' <"$delivered" | awk '
		/^$/ { exit }
		/^[^ \t]/ { if (inside) exit; inside = /^Received:/ }
		inside { printf "%s ", $0 }'
}

# run_show_refusal WORDS URL RECIPIENT
run_show_refusal() {
	step "$1"
	if run_curl "$2" "$3"; then
		bad "it was taken"
		return 0
	fi
	refusal=$(run_reply '5[0-9][0-9] 5\.7\..*')
	if [ -n "$refusal" ]; then
		good "$refusal"
	else
		bad "no reply of the kind 5xx 5.7.x came"
		tail -n 8 "$run/log/curl" | quote
	fi
}

run_tell() {
	password=$(cat "$home/password")
	step "Send your own"
	cat <<-END
		    In a mail program: outgoing server localhost, port 2587 with STARTTLS (or 2465
		    with TLS), user $run_account, password $password,
		    trusting $home/tls/ca.crt

		    curl --ssl-reqd --cacert $home/tls/ca.crt -u '$run_account:$password' \\
		        --mail-from $run_account --mail-rcpt $run_account \\
		        -T message.txt smtp://localhost:2587

		    Mail arrives in $home/mail
		    The log is      $home/log
		    More to see     $home/pabal status -c $home/pabal.conf
	END
}
