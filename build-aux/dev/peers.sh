# SPDX-License-Identifier: ISC
# Servers that the tests talk to (Postfix, Dovecot, Knot) are not installed:
# their packages are unpacked into .run/peers/root with those dependencies that
# the machine lacks. test/lib/enter-peers lays that folder over /usr and /etc in
# a mount namespace of its own.

peers=$run/peers

# apt's own solver says which packages are missing; --reinstall also fetches
# those which the machine has, so that nothing depends on what is installed.
peers_download() {
	for list in "$packages_peers" "$packages_peers_apart"; do
		# shellcheck disable=SC2086 # a list of words
		apt-get -q -y --download-only --reinstall --no-install-recommends \
			-o Dir::Cache::archives="$peers/deb" -o Debug::NoLocking=1 install $list || return 1
	done
}

# The links of a merged /usr come first, so that a package that still ships
# /lib/... lands in /usr/lib.
peers_unpack_all() {
	rm -rf "$peers/root.new"
	mkdir -p "$peers/root.new/usr" "$peers/root.new/etc" "$peers/root.new/var"
	for link in bin sbin lib lib64; do
		if [ -L "/$link" ]; then
			mkdir -p "$peers/root.new/usr/$link"
			ln -s "usr/$link" "$peers/root.new/$link"
		fi
	done
	for deb in "$peers"/deb/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -C "$peers/root.new" -xf - --keep-directory-symlink --no-same-owner || return 1
	done
	rm -rf "$peers/root" && mv "$peers/root.new" "$peers/root"
}

need_peers() {
	peers_wanted="$packages_peers $packages_peers_apart"
	if [ "$(cat "$peers/unpacked" 2>/dev/null)" = "$peers_wanted" ]; then
		return 0
	fi
	step "Unpack the servers that tests talk to (not installed): $peers_wanted"
	rm -rf "$peers"
	mkdir -p "$peers/deb/partial"
	if ! logged "$run/log/peers-download" peers_download; then
		apt_update || return 1
		quietly "$run/log/peers-download" peers_download || return 1
	fi
	quietly "$run/log/peers-unpack" peers_unpack_all || return 1
	rm -rf "$peers/deb"
	echo "$peers_wanted" >"$peers/unpacked"
	good "in ${peers#"$tree"/}"
}
