#!/bin/sh
# SPDX-License-Identifier: ISC
# Makes, for each room, a folder that holds only a link to that room, so that
# `-I DIR/base -I DIR/smtp` lets a file say "base/str.h" and "smtp/reply.h"
# and nothing else. Usage: room-includes.sh SOURCE_ROOT DIR ROOM...
set -eu
source_root=$1
dir=$2
shift 2
for room in "$@"; do
	mkdir -p "$dir/$room"
	ln -sfn "$source_root/src/$room" "$dir/$room/$room"
done
