# SPDX-License-Identifier: GPL-2.0
# The device table of the kernel that crashes has another size than one of this kernel.

for word in $(cat /proc/cmdline); do
	case $word in
	rig.pages=*) pages=${word#*=} ;;
	rig.low=*) low=${word#*=} ;;
	esac
done

first() {
	load_sound
	capture_from 0000:00:05.0
	sleep 0.5
	load_crash_kernel
	sleep 0.3
	load_module amd_table "pages=$pages" "low=${low:-0}"
	panic_now
}

crash() {
	sleep 1.5
	ask_host scan
}
