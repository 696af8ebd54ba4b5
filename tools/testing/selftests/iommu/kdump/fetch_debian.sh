# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For the other fetch_*.sh: programs of a Debian suite, with all that they depend on, in
# a folder of their own. Nothing of the system is changed, and nothing is
# run as part of an installation: the packages are unpacked, and the programs are
# started with their own loader and libraries.
#
# The script that reads this sets WHAT (for messages), SUITES (the one to take from is
# the last), NEED_MIB, DOWNLOAD_MIB and NAME (of the folder), if need be ARCHITECTURE
# (Debian's name of it), and defines
#
#   write_starters FOLDER	what starts the programs
#   try FOLDER			whether they run
#   choose			instead of PACKAGE...: reads the names of all packages and
#				writes those that are wanted, from any of the suites and
#				without what they depend on
#   unpack PACKAGE ROOT		instead of all that is in it
#
# and calls fetch_into DIR PACKAGE... What is there already and works is kept. Exit status 4:
# cannot be had here.

# unavailable MESSAGE...
unavailable()
{
	echo "error: $WHAT cannot be had: $*" >&2
	exit 4
}

# The mirrors that the machine uses already, whatever form its sources have.
mirrors()
{
	apt-get --print-uris update 2>/dev/null |
		sed -n "s|^'\(.*\)/dists/[^/]*/InRelease' .*|\1|p" | awk '!seen[$0]++'
}

# private_apt TOOL WORD...: a tool of apt in a world of its own, where no package is
# installed
private_apt()
{
	local tool=$1

	shift
	"$tool" -q -o "Dir::Etc::sourcelist=$new/apt/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null \
		-o "Dir::State=$new/apt/state" \
		-o "Dir::State::lists=$new/apt/lists" \
		-o "Dir::State::status=$new/apt/state/status" \
		-o "Dir::Cache=$new/apt/cache" \
		-o "APT::Architecture=${ARCHITECTURE:-amd64}" \
		-o "APT::Architectures::=${ARCHITECTURE:-amd64}" \
		-o APT::Install-Recommends=false \
		-o APT::Update::Error-Mode=any \
		-o APT::Update::Post-Invoke-Success::= \
		-o APT::Update::Post-Invoke::= \
		-o "APT::Sandbox::User=$(id -un)" "$@"
}

unpack()
{
	dpkg-deb -x "$1" "$2"
}

# download MIRROR [PACKAGE...]
download()
{
	local key=/usr/share/keyrings/debian-archive-keyring.gpg suite chosen mirror=$1

	shift
	rm -rf "$new"
	mkdir -p "$new/apt/lists/partial" "$new/apt/state" \
		"$new/apt/cache/archives/partial"
	: >"$new/apt/state/status"
	if [ -e "$key" ]; then key="[signed-by=$key] "; else key=; fi
	for suite in $SUITES; do
		echo "deb $key$mirror $suite main"
	done >"$new/apt/sources.list"
	private_apt apt-get update || return
	if [ $# -gt 0 ]; then
		private_apt apt-get -y --download-only -t "${SUITES##* }" install "$@"
		return
	fi
	mapfile -t chosen < <(private_apt apt-cache pkgnames | choose)
	if [ ${#chosen[@]} -eq 0 ]; then
		echo "Unable to locate it in $SUITES"
		return 1
	fi
	(cd "$new/apt/cache/archives" && private_apt apt-get download "${chosen[@]}")
}

# fetch_into DIR [PACKAGE...]
fetch_into()
{
	local dir new log free found mirror why package from=${SUITES##* }

	[ $# -gt 1 ] || from="one of $SUITES"
	mkdir -p "$1"
	dir=$(realpath "$1")
	shift
	new=$dir/.$NAME
	log=$dir/$NAME.log

	exec 9>"$dir/.$NAME.lock"
	flock 9

	! try "$dir/$NAME" >/dev/null 2>&1 || exit 0

	if ! { command -v apt-get && command -v dpkg-deb; } >/dev/null; then
		unavailable "there is no apt-get here"
	fi
	[ "$(dpkg --print-architecture)" = amd64 ] ||
		unavailable "this is no amd64 machine"
	free=$(df --output=avail --block-size=1M "$dir" | tail -n 1)
	[ "$free" -ge "$NEED_MIB" ] ||
		unavailable "$dir has $((free)) MiB free, $NEED_MIB are needed: free some"

	# now, since local variables are gone when the script ends
	# shellcheck disable=SC2064
	trap "rm -rf '$new'" EXIT
	trap 'exit 130' INT TERM HUP

	: >"$log"
	echo "fetching $WHAT from the machine's Debian mirror," \
		"$from (about $DOWNLOAD_MIB MiB)"
	found=
	for mirror in $(mirrors); do
		download "$mirror" "$@" >>"$log" 2>&1 || continue
		found=$mirror
		break
	done
	if [ -z "$found" ]; then
		why=$(grep -m 1 -oE 'Temporary failure.*|Could not (resolve|connect).*|Unable to locate.*|No space left.*|NO_PUBKEY.*' "$log") ||
			why=$(tail -n 1 "$log")
		why=${why:-apt has no Debian mirror configured}
		unavailable "$why; check the network (log: $log)"
	fi

	echo "unpacking $WHAT"
	for package in "$new"/apt/cache/archives/*.deb; do
		unpack "$package" "$new/root" >>"$log" 2>&1 ||
			unavailable "${package##*/} does not unpack (log: $log)"
	done
	rm -rf "$new/apt"
	write_starters "$new"
	try "$new" >>"$log" 2>&1 || unavailable "it does not run (log: $log)"
	rm -rf "${dir:?}/$NAME"
	mv "$new" "$dir/$NAME"
	rm -f "$log"
	try "$dir/$NAME"
}
