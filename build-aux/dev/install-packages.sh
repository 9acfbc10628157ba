# SPDX-License-Identifier: ISC
# Installs Debian packages that are missing, and nothing else: no recommended
# packages, and no service of theirs is started.

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "this needs root, and there is no sudo: $*"
	fi
}

package_installed() {
	case $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) in
	installed*) return 0 ;;
	esac
	return 1
}

# package_exists NAME: this release of Debian or Ubuntu has it
package_exists() {
	apt-cache show --no-all-versions "$1" >/dev/null 2>&1
}

# package_missing WORD: prints the package that has to be installed for one
# word of a list, or nothing. An unknown name is printed too: apt then says so.
package_missing() {
	case $1 in
	*\?)
		set -- "${1%\?}"
		package_installed "$1" || ! package_exists "$1" || echo "$1"
		;;
	*\|*)
		package_installed "${1%%|*}" && return 0
		package_installed "${1#*|}" && return 0
		if package_exists "${1%%|*}"; then echo "${1%%|*}"; else echo "${1#*|}"; fi
		;;
	*)
		package_installed "$1" || echo "$1"
		;;
	esac
}

packages_missing() {
	# shellcheck disable=SC2048 # a list of words
	for word in $*; do
		package_missing "$word"
	done
}

# A machine that was never updated knows no package at all, or names files that
# the mirror no longer has; so the second chance is after apt-get update.
apt_update() {
	quietly "$run/log/apt-update" as_root apt-get -q update
}

# While services may not start there is a policy-rc.d that forbids it, unless
# the machine has one of its own. Removed again even when we are interrupted.
policy_file=/usr/sbin/policy-rc.d
policy_ours=

services_forbid() {
	if [ -e "$policy_file" ]; then
		return 0
	fi
	policy_ours=yes
	printf '#!/bin/sh\n# pabal ./dev: no service starts while it installs packages\nexit 101\n' |
		as_root tee "$policy_file" >/dev/null
	as_root chmod 755 "$policy_file"
}

services_allow() {
	if [ -n "$policy_ours" ]; then
		policy_ours=
		as_root rm -f "$policy_file"
	fi
}

# apt_install HOW PACKAGE...: HOW is `logged` or `quietly`
apt_install() {
	apt_how=$1
	shift
	services_forbid
	trap 'services_allow; exit 130' INT TERM HUP
	apt_status=0
	"$apt_how" "$run/log/apt-install" as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y --no-install-recommends install "$@" || apt_status=1
	services_allow
	trap - INT TERM HUP
	return $apt_status
}

# need_packages LIST...: shows and installs what is missing of the lists
need_packages() {
	command -v apt-get >/dev/null || die "this machine has no apt; needed packages: $*"
	wanted=$*
	missing=$(packages_missing "$wanted")
	if [ -z "$missing" ]; then
		return 0
	fi
	step "Install packages with apt"
	if ! package_exists gcc; then
		apt_update || return 1
		missing=$(packages_missing "$wanted")
	fi
	# shellcheck disable=SC2086 # a list of words
	printf '%s\n' $missing | paste -sd ' ' | fold -s -w 72 | sed 's/^/        /'
	# shellcheck disable=SC2086
	if ! apt_install logged $missing; then
		apt_update && apt_install quietly $missing || return 1
	fi
	good "installed"
}
