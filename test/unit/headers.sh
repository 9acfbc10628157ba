#!/bin/sh
# SPDX-License-Identifier: ISC
# Proves that each header of a room compiles alone, also twice, with only the
# include folders of the rooms that room may use.
# Usage: headers.sh SOURCE_ROOT ROOMS_DIR ROOM [USED_ROOM...] -- COMPILER [FLAG...]
# ROOMS_DIR is what build-aux/room-includes.sh made.
set -u
source_root=$1
rooms=$2
room=$3
shift 2
includes=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	includes="$includes -I$rooms/$1"
	shift
done
[ $# -gt 1 ] || { echo "headers.sh: no compiler" >&2; exit 2; }
shift

checked=0
failed=0
for header in "$source_root/src/$room"/*.h; do
	[ -e "$header" ] || continue
	name=$room/${header##*/}
	checked=$((checked + 1))
	# Two includes: the guard must hold. An object of no size is no C, so a
	# declaration follows.
	# shellcheck disable=SC2086 # the include flags are several words
	if ! printf '#include "%s"\n#include "%s"\nextern int nothing;\n' "$name" "$name" |
		"$@" -std=gnu11 -D_GNU_SOURCE -DPABAL_SANITIZED=0 -DPABAL_VERSION='"0"' \
			-Wall -Wextra -Wno-unused-parameter -Werror -fsyntax-only \
			$includes -x c -; then
		echo "does not compile alone: src/$name" >&2
		failed=$((failed + 1))
	fi
done
echo "$room: $checked headers, $failed failed"
[ "$failed" -eq 0 ]
