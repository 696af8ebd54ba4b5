# SPDX-License-Identifier: GPL-2.0
# Sound streams from every controller. In the crash kernel a program in userspace
# takes one over and manages its DMA (VFIO), gives it back, and the device's own
# driver comes after all. The others must not notice.

owned=0000:00:05.0
driverless=0000:00:06.0
carried=0000:00:07.0

first() {
	stream_and_crash $owned $driverless $carried
}

crash() {
	no_automatic_probe
	in_any_order "load_module edu_dma count=64" "load_module vfio-pci"
	load_sound
	note boot $owned $driverless $carried
	override_driver edu_dma $carried

	# such a driver leaves the group as it is, until somebody opens the device
	override_driver vfio-pci $owned
	note bound $owned
	wait_for /sys/bus/pci/devices/$owned/vfio-dev
	node=/dev/vfio/devices/$(ls /sys/bus/pci/devices/$owned/vfio-dev)
	wait_for "$node"

	# from the moment it has an owner nothing old is mapped, and the stream goes on
	# whenever the device is a master of the bus, until its own driver stops it
	ask_host may-fault 00:05.0
	vfio_owner "$node" 2 > /dev/kmsg &
	owner=$!
	sleep 1
	note owned $owned
	ask_host owned
	wait $owner || give_up "no owner"
	note returned $owned
	ask_host returned

	unbind_driver $owned
	bind_driver snd_hda_intel $owned
	capture_from $owned
	ask_host may-fault end
	note driven $owned $driverless $carried
	ask_host scan
}
