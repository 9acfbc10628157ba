#!/bin/sh
# SPDX-License-Identifier: ISC
# Refuses what a compiler accepts and CONTRIBUTING.md does not: includes with
# '../', and sources without the licence tag in their first lines.
# Usage: style.sh SOURCE_ROOT
set -u
cd "$1" || exit 2

list=$(mktemp) || exit 2
trap 'rm -f "$list"' EXIT
find src -type f ! -name '.*' ! -name '*~' -print >"$list"
failed=0

# Everything under src/ that is source: also tables, SQL, pages and build files.
while IFS= read -r file; do
	case $file in
	*.[ch] | *.def | *.sql | *.build | *.sh | *.py | *.js | *.css | *.html) ;;
	*) continue ;;
	esac
	if ! head -n 3 "$file" | grep -q 'SPDX-License-Identifier: ISC'; then
		echo "$file:1: no SPDX-License-Identifier: ISC" >&2
		failed=$((failed + 1))
	fi
	case $file in
	*.[ch] | *.def)
		if grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<][^">]*\.\./' \
			"$file" /dev/null >&2; then
			echo "$file: an include with ../" >&2
			failed=$((failed + 1))
		fi
		;;
	esac
done <"$list"

# A check that looked at nothing has checked nothing.
checked=$(wc -l <"$list")
if [ "$checked" -eq 0 ]; then
	echo "no sources under $1/src" >&2
	exit 2
fi
echo "$checked files, $failed failed"
[ "$failed" -eq 0 ]
