# SPDX-License-Identifier: ISC
# ./dev fuzz [--time SECONDS] [TARGET...]: the fuzz suite for as long as one likes.
# What it learns stays in .run/fuzz.

task_fuzz() {
	seconds=600
	if [ "${1:-}" = --time ]; then
		[ $# -ge 2 ] || die "--time needs a number of seconds"
		seconds=$2
		shift 2
	fi
	need_packages "$packages_build $packages_test" || exit 1
	build_fuzz || exit 1
	PABAL_FUZZ_SECONDS=$seconds exec /usr/bin/python3 -B "$tree/test/run" fuzz -- "$@"
}
