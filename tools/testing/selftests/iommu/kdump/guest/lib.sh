# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2010,SC2012,SC2034,SC2119,SC2120,SC2154
#
# Functions for the programs that run in a guest: init and debian/rig.sh. They set role,
# "first" in the kernel that crashes and "crash" in the one that is booted by the crash.
# Everything the host needs to know goes through say() into the kernel log, and so to
# the serial console.

say() {
	echo "<5>rig[$role]: $*" > /dev/kmsg
}

# Stop until the host has done what is asked, or noted the time: it answers with
# one line. Whatever decides between right and wrong by its time is asked and not
# said, because a line said may reach a busy host late. The console is open before:
# what comes while nobody has it open is lost. With $deaf nothing comes: the console's
# interrupts do not arrive.
ask_host() {
	if [ -n "$deaf" ]; then
		say "host: $*"
		return
	fi
	{
		say "host: $*"
		read -r -t 60 answer || say "error: no answer from the host"
	} < /dev/console
}

give_up() {
	say "error: $*"
	# what has happened up to here still counts
	[ "$role" = crash ] && finish
	power_off
}

# What the kernel shows of the framework: each failure is an error of the run.
self_test() {
	expect=
	[ "$role" = crash ] && [ "$(echo /sys/kernel/iommu_groups/*/kdump_state)" != \
		"/sys/kernel/iommu_groups/*/kdump_state" ] && expect=framework
	KDUMP_EXPECT=$expect kdump_state > /tmp/self_test 2>&1
	grep -B 8 "^not ok" /tmp/self_test | while read -r line; do
		case $line in
		"not ok"*) say "error: self-test: $line" ;;
		*) say "self-test: $line" ;;
		esac
	done
	say "selftest $(grep -c "^ok" /tmp/self_test)" \
		"$(grep -c "^not ok" /tmp/self_test)" \
		"$(grep -c "^ok.*# SKIP" /tmp/self_test)"
}

finish() {
	vmcore_check > /dev/kmsg
	self_test
	say_groups
	ask_host finish
	power_off
}

# A scenario may set $ending: by what command the crash kernel ends.
power_off() {
	say "${ending:-poweroff}"
	sync
	${ending:-poweroff} -f
	sleep 60
}

# say_memory NAME: of this kernel, in KiB: all of it, and what is available
say_memory() {
	say "memory $1 $(awk '/^MemTotal/ { all = $2 } /^MemAvailable/ { free = $2 }
		END { print all, free }' /proc/meminfo)"
}

# The host says (rig.slower) how many times as long the kernel takes for anything.
wait_for() {
	tries=$((100 * ${slower:-1}))
	until [ -e "$1" ]; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || give_up "$1 did not appear"
		sleep 0.1
	done
}

load_module() {
	say "load $1"
	modprobe "$@" || give_up "modprobe $* failed"
	say "loaded $1"
}

# The codec's driver first: a controller that finds none gives up.
load_sound() {
	load_module snd-hda-codec-generic
	load_module snd-hda-intel
}

# in_any_order ONE OTHER: two commands that do not care which of them comes first.
# The host says when it is the other one (rig.reversed).
in_any_order() {
	if [ -n "$reversed" ]; then
		eval "$2"
		eval "$1"
	else
		eval "$1"
		eval "$2"
	fi
}

# Modules then bring a driver but no binding, and the order is the script's.
no_automatic_probe() {
	echo 0 > /sys/bus/pci/drivers_autoprobe
}

bind_driver() {
	say "bind $1 $2"
	echo "$2" > "/sys/bus/pci/drivers/$1/bind" || give_up "$1 refuses $2"
	say "bound $1 $2"
}

# override_driver DRIVER DEVICE: one that does not know the device, by its override.
override_driver() {
	echo "$1" > "/sys/bus/pci/devices/$2/driver_override"
	bind_driver "$1" "$2"
}

unbind_driver() {
	echo "$1" > "/sys/bus/pci/devices/$1/driver/unbind" ||
		give_up "$1 does not let go of its driver"
	echo > "/sys/bus/pci/devices/$1/driver_override"
	say "unbound $1"
}

# Start a capture stream on each of these sound controllers, with periods of $frames, if
# that is set.
capture_from() {
	for controller in "$@"; do
		tries=100
		until node=$(ls "/sys/bus/pci/devices/$controller/sound"/card* 2>/dev/null |
			     grep -m 1 '^pcmC[0-9]*D0c$'); do
			tries=$((tries - 1))
			[ $tries -gt 0 ] || give_up "$controller has no sound"
			sleep 0.1
		done
		wait_for "/dev/snd/$node"
		pcm_stream capture "/dev/snd/$node" ${frames:+"$frames"} > /dev/kmsg &
	done
}

# The codec of the controller at 00:05.0 both ways.
stream_both_ways() {
	load_sound
	wait_for /dev/snd/pcmC0D0c
	wait_for /dev/snd/pcmC0D0p
	pcm_stream capture /dev/snd/pcmC0D0c > /dev/kmsg &
	pcm_stream playback /dev/snd/pcmC0D0p > /dev/kmsg &
	sleep 0.5
}

# change_command DEVICE BYTE CLEAR SET: bits of one of the two bytes of the command register
change_command() {
	config=/sys/bus/pci/devices/$1/config
	at=$((4 + $2))
	byte=$(dd if="$config" bs=1 skip=$at count=1 2>/dev/null | hexdump -e '1/1 "%d"')
	# shellcheck disable=SC2059
	printf "\\$(printf %o $((byte & ~$3 | $4)))" |
		dd of="$config" bs=1 seek=$at count=1 conv=notrunc 2>/dev/null ||
		give_up "the command register of $1 cannot be changed"
}

clear_bus_master() {
	change_command "$1" 0 4 0
	say "no bus master $1"
}

# The wire, not messages.
mask_interrupt() {
	change_command "$1" 1 0 4
}

interface_of() {
	ls "/sys/bus/pci/devices/$1/net"
}

interface_up() {
	ip link set "$(interface_of "$1")" promisc on
	ip link set "$(interface_of "$1")" up || give_up "no link on $1"
	say "up $1"
}

group_of() {
	basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")"
}

# Absent on a kernel without the framework.
state_of() {
	cat "/sys/kernel/iommu_groups/$(group_of "$1")/kdump_state" 2>/dev/null ||
		echo absent
}

# wait_for_state DEVICE STATE SECONDS
wait_for_state() {
	left=$(($3 * 10 * ${slower:-1}))
	until [ "$(state_of "$1")" = "$2" ]; do
		left=$((left - 1))
		# a kernel without the framework has no state to wait for
		if [ $left -le 0 ] || [ "$(state_of "$1")" = absent ]; then
			say "state of $1 is $(state_of "$1"), not $2"
			return 1
		fi
		sleep 0.1
	done
	say "state of $1 is $2"
}

# note STEP DEVICE...: the host compares the states with what they should be.
note() {
	step=$1
	shift
	for device in "$@"; do
		if [ -e "/sys/bus/pci/devices/$device/iommu_group" ]; then
			say "step $step $device $(state_of "$device")"
		else
			say "step $step $device gone"
		fi
	done
}

say_groups() {
	# for people: what an administrator would look at
	while read -r line; do
		say "table: $line"
	done < /sys/kernel/debug/iommu/kdump 2>/dev/null
	for group in /sys/kernel/iommu_groups/*; do
		# none at all
		[ -d "$group" ] || continue
		state=absent
		[ -e "$group/kdump_state" ] && read -r state < "$group/kdump_state"
		say "group ${group##*/} $state $(ls "$group/devices" | tr '\n' ' ')"
	done
}

load_crash_kernel() {
	crash_load /boot/kernel /boot/initrd \
		"console=${console:-ttyS0,115200} rig.role=crash rig.scenario=$scenario $* \
${reversed:+rig.reversed }${slower:+rig.slower=$slower }\
panic=5 nr_cpus=1 irqpoll reset_devices no_timer_check printk.devkmsg=on $crash_options" ||
		give_up "the crash kernel cannot be loaded"
	say "crash kernel loaded"
}

# Never returns. With everything in the log first: the panic cuts it off.
panic_now() {
	sync
	sleep "${delay:-0}"
	ask_host panic
	echo c > /proc/sysrq-trigger
	sleep 60
}

# crash_now [WORD...]: for the crash kernel's command line
crash_now() {
	load_crash_kernel "$@"
	sleep 0.3
	panic_now
}

# stream_and_crash CONTROLLER...: while sound streams from each of them
stream_and_crash() {
	load_sound
	capture_from "$@"
	sleep 0.5
	crash_now
}
