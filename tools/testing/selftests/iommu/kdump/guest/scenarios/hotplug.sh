# SPDX-License-Identifier: GPL-2.0
# Sound streams from every controller. In the crash kernel one is reset before its
# driver comes, one by its driver's probe, one is removed and found again, one is
# unplugged and something else plugged in its place. One is left to a driver that
# does not stop it, and must not notice any of that.

unplugged=0000:01:00.0
reset_before=0000:02:00.0
reset_during=0000:03:00.0
rescanned=0000:00:05.0
bystander=0000:00:06.0

first() {
	stream_and_crash $unplugged $reset_before $reset_during $rescanned $bystander
}

wait_until_gone() {
	tries=100
	while [ -e "$1" ]; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || give_up "$1 does not go away"
		sleep 0.1
	done
}

# A device can be seen before it has got its place in the address space, and before a
# driver may have it. All of that goes on under one lock, which a scan takes as well.
wait_until_usable() {
	wait_for "/sys/bus/pci/devices/$1"
	echo 1 > /sys/bus/pci/rescan
}

crash() {
	no_automatic_probe
	in_any_order "load_module edu_dma count=64" load_sound
	note boot $unplugged $reset_before $reset_during $rescanned $bystander

	override_driver edu_dma $bystander
	note driven $bystander

	echo 1 > /sys/bus/pci/devices/$reset_before/reset ||
		give_up "$reset_before cannot be reset"
	note reset $reset_before
	override_driver edu_dma $reset_before
	note driven $reset_before

	echo 1 > /sys/module/edu_dma/parameters/reset
	override_driver edu_dma $reset_during
	echo 0 > /sys/module/edu_dma/parameters/reset
	note driven $reset_during

	# nobody stops it when it goes, and what comes back starts afresh
	ask_host may-fault 00:05.0
	echo 1 > /sys/bus/pci/devices/$rescanned/remove
	note removed $rescanned
	echo 1 > /sys/bus/pci/rescan
	wait_for /sys/bus/pci/devices/$rescanned
	note back $rescanned
	bind_driver snd_hda_intel $rescanned
	capture_from $rescanned
	ask_host may-fault end

	# an empty port falls asleep, and QEMU's are not woken by what is plugged in
	port=$(readlink -f /sys/bus/pci/devices/$unplugged/..)
	[ ! -e "$port/power/control" ] || echo on > "$port/power/control"
	ask_host may-fault 01:00.0
	ask_host unplug
	wait_until_gone /sys/bus/pci/devices/$unplugged
	note removed $unplugged
	# QEMU's device goes on a little longer than Linux knows it
	ask_host plug
	ask_host may-fault end
	wait_until_usable $unplugged
	bind_driver edu_dma $unplugged
	note back $unplugged
	say "loopback $(cat /sys/kernel/debug/edu_dma/$unplugged/loopback)"

	note end $bystander $reset_before $reset_during
	ask_host scan
}
