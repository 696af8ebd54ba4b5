# SPDX-License-Identifier: GPL-2.0
# A network card that caches translations (ATS), receiving all the time. Its driver
# is built in.

card=0000:01:00.0

first() {
	wait_for /sys/bus/pci/devices/$card/virtio0/net
	up
	ask_host flood-old
	sleep 1.5
	crash_now "rig.token=$token"
}

interface() {
	ls /sys/bus/pci/devices/$card/virtio*/net
}

up() {
	ip link set "$(interface)" promisc on
	ip link set "$(interface)" up || give_up "no link on $card"
	say "up $card"
}

crash() {
	wait_for /sys/bus/pci/devices/$card/virtio0/net
	ask_host scan
	ask_host traffic-new
	up
	frame_check "$(interface)" 8 "$token" N 20 > /dev/kmsg
	wait_for_state $card released 12
}
