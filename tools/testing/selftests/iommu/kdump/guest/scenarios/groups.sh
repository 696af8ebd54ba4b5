# SPDX-License-Identifier: GPL-2.0
# Sound streams from every controller, and each group of the crash kernel gets
# something else: drivers for all of its devices, for some, for none at first; one
# whose probe fails; one that is unbound again. Drivers that do not stop what they
# find (edu_dma) show that nothing is released that somebody may still use.

late=0000:00:05.0
# two functions of one device: one group, two requester IDs
driven=0000:00:06.0
driverless=0000:00:06.1
unbound=0000:00:07.0
failing=0000:00:08.0
# behind a bridge: one group, one requester ID
alias_a=0000:01:01.0
alias_b=0000:01:02.0

present() {
	[ -e "/sys/bus/pci/devices/$1" ]
}

first() {
	load_sound
	capture_from $late $driven $driverless $unbound $failing
	present $alias_a && capture_from $alias_a $alias_b
	sleep 0.5
	crash_now
}

crash() {
	no_automatic_probe
	in_any_order "load_module edu_dma count=64" load_sound
	note boot $late $driven $unbound $failing

	override_driver edu_dma $driven
	note some $driven

	if present $alias_a; then
		note boot $alias_a
		bind_driver snd_hda_intel $alias_a
		note half $alias_a
		bind_driver snd_hda_intel $alias_b
		note all $alias_a
	fi

	echo 1 > /sys/module/edu_dma/parameters/fail
	echo edu_dma > /sys/bus/pci/devices/$failing/driver_override
	echo $failing > /sys/bus/pci/drivers/edu_dma/bind 2>/dev/null &&
		give_up "the probe of $failing did not fail"
	echo 0 > /sys/module/edu_dma/parameters/fail
	echo > /sys/bus/pci/devices/$failing/driver_override
	note failed $failing

	override_driver edu_dma $unbound
	note bound $unbound
	unbind_driver $unbound
	note unbound $unbound
	ask_host scan

	# the grace period passes
	sleep 4
	note grace $driven $failing $late
	present $alias_a && note grace $alias_a

	bind_driver snd_hda_intel $late
	note late $late
	bind_driver snd_hda_intel $failing
	sleep 4
	note end $late $failing $driven
	ask_host scan
}
