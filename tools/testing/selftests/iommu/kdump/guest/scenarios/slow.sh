# SPDX-License-Identifier: GPL-2.0
# Sound streams from every controller. One gets a driver whose probe maps, and then waits
# much longer than the grace period before it resets the device; one function of two is
# reset by its driver, through its own register and not by the PCI core, while the other
# one streams on.

slow=0000:00:05.0
driven=0000:00:06.0
sibling=0000:00:06.1
parameters=/sys/module/edu_dma/parameters
# of intel-hda: global control, of which bit 0 is "not in reset"
global_control=8

first() {
	stream_and_crash $slow $driven $sibling
}

crash() {
	no_automatic_probe
	load_module edu_dma count=64
	note boot $slow $driven $sibling

	echo $global_control > $parameters/clear
	echo 4000 > $parameters/wait
	override_driver edu_dma $slow &
	waiting=$!
	sleep 3
	note waiting $slow
	ask_host reset-soon
	wait $waiting
	note probed $slow

	echo 500 > $parameters/wait
	override_driver edu_dma $driven
	note driven $driven
	ask_host scan

	# the grace period passes
	sleep 2.5
	note end $slow $sibling
}
