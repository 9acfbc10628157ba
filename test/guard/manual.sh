#!/bin/sh
# SPDX-License-Identifier: ISC
# The tables of the manual are what the simulator prints. $1: simulator, $2: the manual's page.
set -eu
made=$(mktemp)
trap 'rm -f "$made"' EXIT
"$1" --marks >"$made"
failed=0
while IFS= read -r line; do
	[ -z "$line" ] || grep -qxF -- "$line" "$2" || {
		echo "not in the manual: $line"
		failed=1
	}
done <"$made"
exit $failed
