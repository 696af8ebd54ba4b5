# SPDX-License-Identifier: GPL-2.0
# A crash kernel with little memory. The devices of the kernel that crashes have more
# mapped than it may be able to carry over; a sound stream goes on beside them.

sound=0000:00:05.0

for word in $(cat /proc/cmdline); do
	case $word in
	# pages for each device, bytes from one to the next, how many are neighbours
	rig.fill=*) fill=$(echo "${word#*=}" | tr ';' ' ') ;;
	esac
done

# Names of the devices, once all of them have a driver.
edu_devices() {
	(cd /sys/kernel/debug/edu_dma && echo *)
}

first() {
	load_module snd-hda-codec-generic
	load_module snd-hda-intel
	capture_from $sound
	load_module edu_dma size=65536 count=2
	for device in $(edu_devices); do
		control=/sys/kernel/debug/edu_dma/$device
		echo "$fill" > "$control/fill" || give_up "$device cannot map all that"
		read -r iova length < "$control/mappings"
		say "old $device $iova"
	done
	say "filled"
	load_crash_kernel
	sleep 0.3
	# one after the other, but all of them are busy when the kernel panics
	for device in $(edu_devices); do
		read -r iova length < "/sys/kernel/debug/edu_dma/$device/mappings"
		echo "$iova 1024" > "/sys/kernel/debug/edu_dma/$device/write" &
	done
	sleep 0.02
	panic_now
}

crash() {
	say_memory before
	load_module edu_dma size=65536 count=2
	for device in $(edu_devices); do
		control=/sys/kernel/debug/edu_dma/$device
		while read -r iova length; do
			say "mapped $device $iova $length"
		done < "$control/mappings"
		say "loopback $(cat "$control/loopback")"
	done
	say_memory after
	ask_host scan
}
