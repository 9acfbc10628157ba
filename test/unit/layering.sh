#!/bin/sh
# SPDX-License-Identifier: ISC
# A room must not reach above itself: adds a forbidden include and a forbidden call to a copy
# of the tree and sees the build refuse both. Usage: layering.sh SOURCE_ROOT
set -eu
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tree/test" "$work/tree/doc"
cp -R "$root/src" "$root/build-aux" "$root/meson.build" "$root/meson_options.txt" "$work/tree"
: >"$work/tree/test/meson.build"
: >"$work/tree/doc/meson.build"
victim=$work/tree/src/smtp/limits.c
cp "$victim" "$work/limits.c"
meson setup "$work/build" "$work/tree" >"$work/log" 2>&1 || {
	cat "$work/log"
	exit 1
}

# builds WHAT: the shared object of the whole room with the rooms it may use
builds() {
	ninja -C "$work/build" liblayer-smtp.so >"$work/log" 2>&1
}

fail() {
	cat "$work/log"
	echo "layering: $*"
	exit 1
}

builds || fail "the room does not build as it is"

printf '#include "store/store.h"\n' | cat - "$work/limits.c" >"$victim"
if builds; then fail "an upward include was accepted"; fi
grep -q 'store/store.h' "$work/log" || fail "the include was not what failed"

{
	cat "$work/limits.c"
	echo 'void store_close(void *s);'
	echo 'void smtp_limits_reach_up(void);'
	echo 'void smtp_limits_reach_up(void) { store_close(0); }'
} >"$victim"
if builds; then fail "an upward call was accepted"; fi
grep -q 'store_close' "$work/log" || fail "the call was not what failed"

cp "$work/limits.c" "$victim"
builds || fail "the room does not build any more"
