#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# setup.sh GROUP...: install what scripts/packages lists for the groups and the
# machine does not have.
set -euo pipefail

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# static tools live in sbin on Debian, which is not in every user's PATH
PATH=$PATH:/usr/sbin:/sbin

missing=()
while read -r group package witness; do
	case " $* " in *" $group "*) ;; *) continue ;; esac
	case $witness in
	/*)		[ -e "$witness" ] ;;
	static:*)	command -v "${witness#*:}" >/dev/null && ! ldd "$(command -v "${witness#*:}")" >/dev/null 2>&1 ;;
	*)		command -v "$witness" >/dev/null ;;
	esac || missing+=("$package")
done < <(grep -v '^#' "$(dirname "$0")/packages")

[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null ||
	die "no apt-get here: install what these Debian packages hold by other means: ${missing[*]}"
[ "$(id -u)" = 0 ] ||
	die "packages are missing, run as root: apt-get install ${missing[*]}"

echo "installing ${missing[*]}"
install=(apt-get install -y --no-install-recommends -qq "${missing[@]}")
export DEBIAN_FRONTEND=noninteractive

# The package lists may be absent or too old to install from.
if ! "${install[@]}" >"$OUT/setup.log" 2>&1; then
	apt-get update -qq >>"$OUT/setup.log" 2>&1 || true
	"${install[@]}" >>"$OUT/setup.log" 2>&1 ||
		die "apt-get could not install ${missing[*]}: $(grep '^E:' "$OUT/setup.log" | tail -n 1) (log: $OUT/setup.log)"
fi
