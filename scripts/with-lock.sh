#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# with-lock.sh COMMAND...: run COMMAND as the only one that writes to $OUT.
# What an interrupted run left in $OUT/tmp is removed first.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p "$OUT" 2>/dev/null || die "cannot create $OUT: make its parent folder writable"
[ -w "$OUT" ] || die "cannot write to $OUT: change its owner, or run as the user who owns it"

exec 9>"$OUT/.lock"
if ! flock -n 9; then
	echo "waiting for another run in $OUT to end ..." >&2
	flock 9
fi

rm -rf "$OUT/tmp"
mkdir "$OUT/tmp"

# The child must not inherit the lock: what it leaves running would keep it.
status=0
"$@" 9>&- || status=$?
rm -rf "$OUT/tmp"
exit "$status"
