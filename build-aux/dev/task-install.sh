# SPDX-License-Identifier: ISC
# ./dev install: the program, its users, folders, unit and a first configuration
# on this machine. With DESTDIR set, files go there and no user is made.

: "${DESTDIR:=}"

task_install() {
	[ $# = 0 ] || die "install has no options; DESTDIR is taken from the environment"
	need_packages "$packages_build $packages_run $packages_install" || exit 1
	step "Build"
	build_release || exit 1
	good "${run#"$tree"/}/build/pabal"

	step "Install to ${DESTDIR:-/}"
	install_program || exit 1
	if [ -z "$DESTDIR" ]; then
		install_users || exit 1
	fi
	install_folders || exit 1
	install_configuration || exit 1
	install_unit || exit 1
	install_manuals || exit 1
	install_tell
}

# as_installer COMMAND...: root, but for a DESTDIR that we may write
as_installer() {
	if [ -n "$DESTDIR" ] && [ -w "$DESTDIR" ]; then
		"$@"
	else
		as_root "$@"
	fi
}

# put MODE FILE TARGET
put() {
	as_installer install -D -m "$1" "$2" "$DESTDIR$3"
}

# The new file takes the place of a running one by a rename.
put_over() {
	put "$1" "$2" "$3.new" && as_installer mv "$DESTDIR$3.new" "$DESTDIR$3"
}

# The modules first: a program finds those of its own version.
install_program() {
	for module in "$run"/build/pabal-*.so; do
		put_over 644 "$module" "/usr/lib/pabal/${module##*/}" || return 1
	done
	put_over 755 "$run/build/pabal" /usr/sbin/pabal &&
		good "/usr/sbin/pabal, modules in /usr/lib/pabal"
}

# One user a role (the rows of src/role/roles.c), and the group of those who may
# use the control sockets.
install_users() {
	made=
	for role in config smtpd auth source queue sender dns mail web; do
		if ! getent passwd "pabal-$role" >/dev/null; then
			as_root useradd --system --user-group --no-create-home --home-dir /nonexistent \
				--shell /usr/sbin/nologin --comment "Pabal $role" "pabal-$role" || return 1
			made="$made pabal-$role"
		fi
	done
	if ! getent group pabal-admin >/dev/null; then
		as_root groupadd --system pabal-admin || return 1
		made="$made pabal-admin"
	fi
	if [ -n "$made" ]; then good "made$made"; else good "users are there"; fi
}

# folder MODE OWNER PATH; in a DESTDIR the owner stays who we are
folder() {
	as_installer install -d -m "$1" "$DESTDIR$3" || return 1
	if [ -z "$DESTDIR" ]; then
		as_root chown "$2:$2" "$3"
	fi
}

# What src/role/sockets.c makes at start, too; here so that rights are right
# before the first one.
install_folders() {
	folder 755 root /etc/pabal &&
		folder 755 root /etc/pabal/tls &&
		folder 755 root /var/lib/pabal &&
		folder 755 root /var/lib/pabal/empty &&
		folder 755 root /var/lib/pabal/tls &&
		folder 700 pabal-queue /var/lib/pabal/queue &&
		folder 700 pabal-auth /var/lib/pabal/auth &&
		folder 700 pabal-mail /var/lib/pabal/mail &&
		good "/etc/pabal, /var/lib/pabal"
}

# A configuration that is there is never touched.
install_configuration() {
	if [ -e "$DESTDIR/etc/pabal/pabal.conf" ]; then
		good "/etc/pabal/pabal.conf stays as it is"
		return 0
	fi
	name=$(hostname -f 2>/dev/null || hostname)
	case $name in
	*.*.*) domain=${name#*.} ;;
	*.*) domain=$name ;;
	*)
		name=$name.example.org
		domain=example.org
		note "this machine has no full name: set hostname and domains in the configuration"
		;;
	esac
	mkdir -p "$run"
	sed "s/@HOSTNAME@/$name/g; s/@DOMAIN@/$domain/g" "$tree/dist/pabal.conf" >"$run/pabal.conf.first"
	put 644 "$run/pabal.conf.first" /etc/pabal/pabal.conf && good "/etc/pabal/pabal.conf"
}

install_unit() {
	put 644 "$tree/dist/pabal.service" /usr/lib/systemd/system/pabal.service || return 1
	if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
		as_root systemctl daemon-reload || return 1
	fi
	good "/usr/lib/systemd/system/pabal.service (not enabled)"
}

# The pages need scdoc; a release that lacks it goes without.
install_manuals() {
	command -v scdoc >/dev/null || return 0
	# shellcheck disable=SC2086 # a list of words
	build "$run/build" 'doc/pabal.8 doc/pabal.conf.5' $build_release_options || return 1
	put 644 "$run/build/doc/pabal.8" /usr/share/man/man8/pabal.8 &&
		put 644 "$run/build/doc/pabal.conf.5" /usr/share/man/man5/pabal.conf.5 &&
		good "pabal(8), pabal.conf(5)"
}

install_tell() {
	cat <<-'END'

		Next:
		    edit /etc/pabal/pabal.conf
		    pabal account add NAME@DOMAIN
		    pabal check
		    systemctl enable --now pabal      (or: pabal serve -c /etc/pabal/pabal.conf)
	END
}
