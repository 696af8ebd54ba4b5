#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch_qemu.sh DIR: put the QEMU of Debian's trixie-backports, with all that it
# depends on, into DIR/qemu-11. Nothing of the system is changed, and nothing is
# run as part of an installation: the packages are unpacked, and the program is
# started with its own loader and libraries by DIR/qemu-11/qemu-system-x86_64.
#
# What is there already and works is kept. Exit status 4: cannot be had here.
set -euo pipefail

SUITE=trixie
PACKAGES=(qemu-system-x86 qemu-system-data seabios ipxe-qemu)
NEED_MIB=600

# unavailable MESSAGE...
unavailable()
{
	echo "error: QEMU 11 cannot be had: $*" >&2
	exit 4
}

[ $# = 1 ] || { echo "usage: fetch_qemu.sh DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(realpath "$1")
new=$dir/.qemu-11
log=$dir/qemu-11.log

exec 9>"$dir/.qemu-11.lock"
flock 9

"$dir/qemu-11/qemu-system-x86_64" --version >/dev/null 2>&1 && exit 0

if ! { command -v apt-get && command -v dpkg-deb; } >/dev/null; then
	unavailable "there is no apt-get here; build QEMU 11 and name it with --qemu"
fi
[ "$(dpkg --print-architecture)" = amd64 ] ||
	unavailable "this is no amd64 machine; build QEMU 11 and name it with --qemu"
free=$(df --output=avail --block-size=1M "$dir" | tail -n 1)
[ "$free" -ge $NEED_MIB ] ||
	unavailable "$dir has $((free)) MiB free, $NEED_MIB are needed: free some"

trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM HUP

# The mirrors that the machine uses already, whatever form its sources have.
mirrors()
{
	apt-get --print-uris update 2>/dev/null |
		sed -n "s|^'\(.*\)/dists/[^/]*/InRelease' .*|\1|p" | awk '!seen[$0]++'
}

# apt-get in a world of its own, where no package is installed
private_apt()
{
	apt-get -q -o "Dir::Etc::sourcelist=$new/apt/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null \
		-o "Dir::State=$new/apt/state" \
		-o "Dir::State::lists=$new/apt/lists" \
		-o "Dir::State::status=$new/apt/state/status" \
		-o "Dir::Cache=$new/apt/cache" \
		-o APT::Architecture=amd64 -o APT::Architectures::=amd64 \
		-o APT::Install-Recommends=false \
		-o APT::Update::Error-Mode=any \
		-o APT::Update::Post-Invoke-Success::= \
		-o APT::Update::Post-Invoke::= \
		-o "APT::Sandbox::User=$(id -un)" "$@"
}

# download MIRROR
download()
{
	local key=/usr/share/keyrings/debian-archive-keyring.gpg

	rm -rf "$new"
	mkdir -p "$new/apt/lists/partial" "$new/apt/state" \
		"$new/apt/cache/archives/partial"
	: >"$new/apt/state/status"
	if [ -e "$key" ]; then key="[signed-by=$key] "; else key=; fi
	printf "deb $key%s %s main\n" "$1" $SUITE "$1" $SUITE-backports \
		>"$new/apt/sources.list"
	private_apt update &&
		private_apt -y --download-only -t $SUITE-backports install "${PACKAGES[@]}"
}

# Debian's own libraries, and not those of the system
write_starter()
{
	cat >"$1" <<'EOF'
#!/bin/sh
root=$(dirname "$(realpath "$0")")/root
lib=$root/usr/lib/x86_64-linux-gnu
export QEMU_MODULE_DIR="$lib/qemu"
exec "$lib/ld-linux-x86-64.so.2" \
	--library-path "$lib:$lib/pulseaudio:$lib/blas:$lib/lapack:$lib/samba:$lib/ceph" \
	"$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" \
	-L "$root/usr/share/seabios" -L "$root/usr/lib/ipxe/qemu" "$@"
EOF
	chmod 755 "$1"
}

: >"$log"
echo "fetching QEMU 11 from the machine's Debian mirror, $SUITE-backports (about 40 MiB)"
found=
for mirror in $(mirrors); do
	download "$mirror" >>"$log" 2>&1 || continue
	found=$mirror
	break
done
if [ -z "$found" ]; then
	why=$(grep -m 1 -oE 'Temporary failure.*|Could not (resolve|connect).*|Unable to locate.*|No space left.*|NO_PUBKEY.*' "$log") ||
		why=$(tail -n 1 "$log")
	unavailable "${why:-apt has no Debian mirror configured}; check the network (log: $log)"
fi

echo "unpacking QEMU 11"
for package in "$new"/apt/cache/archives/*.deb; do
	dpkg-deb -x "$package" "$new/root" >>"$log" 2>&1 ||
		unavailable "${package##*/} does not unpack (log: $log)"
done
rm -rf "$new/apt"
write_starter "$new/qemu-system-x86_64"
"$new/qemu-system-x86_64" --version >>"$log" 2>&1 ||
	unavailable "it does not run (log: $log)"
rm -rf "$dir/qemu-11"
mv "$new" "$dir/qemu-11"
rm -f "$log"
"$dir/qemu-11/qemu-system-x86_64" --version | head -n 1
