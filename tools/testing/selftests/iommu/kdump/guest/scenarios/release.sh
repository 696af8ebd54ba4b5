# SPDX-License-Identifier: GPL-2.0
# A stray access to an address of the crashed kernel: harmless while the old
# mappings are carried, a fault when they have been released.

device=0000:00:06.0
control=/sys/kernel/debug/edu_dma/$device

first() {
	load_module edu_dma size=65536 count=16
	wait_for $control
	read -r iova length < $control/mappings
	echo "$iova 1024" > $control/write
	crash_now "rig.old=$iova"
}

crash() {
	sleep 0.5
	load_module edu_dma size=65536 count=16
	wait_for $control
	wait_for_state $device carrying 2
	say_mappings
	ask_host stray carried "$old"
	echo "$old 1024" > $control/write
	sleep 0.2
	ask_host stray end
	ask_host scan
	wait_for_state $device released 8
	ask_host stray released "$old"
	echo "$old 1024" > $control/write
	sleep 0.2
	ask_host stray end
	# what is mapped from now on must still keep away from the old addresses
	echo 64 > $control/map
	say_mappings
}

say_mappings() {
	while read -r iova length; do
		say "mapping $iova $length"
	done < $control/mappings
	say "refused $(cat $control/refused)"
}
