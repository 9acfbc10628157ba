# SPDX-License-Identifier: ISC
# ./dev bench: Postfix and Pabal under the same load; the table is made by
# test/bench/run. Needs root, as Postfix does.

task_bench() {
	need_packages "$packages_build $packages_test" || exit 1
	need_peers || exit 1
	step "Build"
	build_release test/tables/ask-tables || exit 1
	good "${run#"$tree"/}/build/pabal"
	PABAL_BIN=$run/build/pabal exec "$tree/test/lib/enter-network" \
		/usr/bin/python3 -B "$tree/test/bench/run" "$@"
}
