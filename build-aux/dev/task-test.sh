# SPDX-License-Identifier: ISC
# ./dev test: builds with AddressSanitizer and UBSan, and hands over to test/run.

task_test() {
	for suite in "$@"; do
		case $suite in
		--) break ;;
		unit | dialogue | system | crash | fuzz | machine) ;;
		*) die "unknown suite: $suite (unit dialogue system crash fuzz machine)" ;;
		esac
	done
	mkdir -p "$run/test"
	"$tree/test/lib/machine-state" >"$run/test/machine-before"

	need_packages "$packages_build $packages_run $packages_install $packages_test" || exit 1
	need_peers || exit 1
	case "$*" in
	fuzz | "fuzz -- "*) ;;
	*) build_sanitized || exit 1 ;;
	esac
	if test_wants_fuzz "$@"; then
		build_fuzz || exit 1
	fi
	exec /usr/bin/python3 -B "$tree/test/run" "$@"
}

test_wants_fuzz() {
	[ $# != 0 ] || return 0
	for suite in "$@"; do
		case $suite in
		--) return 1 ;;
		fuzz) return 0 ;;
		esac
	done
	return 1
}
