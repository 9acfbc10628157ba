# SPDX-License-Identifier: ISC
# Builds with Meson, each kind in its own folder under .run.

# jobs: a compiler for each core, but not more than the memory takes (sanitized
# C needs about half a gigabyte at worst)
build_jobs() {
	cores=$(nproc)
	gigabytes=$(awk '/MemTotal/ { print int($2 / 1000000) * 2 }' /proc/meminfo)
	if [ "${gigabytes:-0}" -gt 0 ] && [ "$gigabytes" -lt "$cores" ]; then
		cores=$gigabytes
	fi
	echo "${DEV_JOBS:-$cores}"
}

# build FOLDER TARGETS MESON_OPTION...: TARGETS is one word list, empty for all
build() {
	build_folder=$1 build_targets=$2
	shift 2
	# Another compiler, option or path means from the start: that is cheap and right.
	build_wanted="$tree $(${CC:-cc} -dumpfullversion -dumpmachine 2>/dev/null | tr '\n' ' ') ${CC:-} $*"
	if [ "$(cat "$build_folder/dev-options" 2>/dev/null)" != "$build_wanted" ]; then
		rm -rf "$build_folder"
		quietly "$run/log/meson" meson setup "$build_folder" "$@" || return 1
		echo "$build_wanted" >"$build_folder/dev-options"
	fi
	# shellcheck disable=SC2086 # a list of words
	quietly "$run/log/ninja" ninja -C "$build_folder" -j "$(build_jobs)" $build_targets
}

build_release_options='--buildtype=release -Dlayering=false --prefix=/usr --libdir=lib'

# what a task needs beside the server
build_release() {
	# shellcheck disable=SC2086 # a list of words
	build "$run/build" "server $*" $build_release_options
}

build_sanitized() {
	step "Build with AddressSanitizer and UBSan"
	build "$run/build-test" '' --buildtype=debugoptimized \
		-Db_sanitize=address,undefined || return 1
	good "${run#"$tree"/}/build-test"
}

# libFuzzer comes with clang.
build_fuzz() {
	step "Build the fuzz targets"
	if [ ! -e "$tree/test/fuzz/meson.build" ]; then
		bad "test/fuzz has no targets yet"
		return 0
	fi
	(
		export CC=clang
		build "$run/build-fuzz" '' --buildtype=debugoptimized -Dfuzz=true -Dlayering=false \
			-Db_sanitize=address,undefined -Db_lundef=false \
			-Dc_args=-fsanitize=fuzzer-no-link
	) || return 1
	good "${run#"$tree"/}/build-fuzz"
}
