# SPDX-License-Identifier: GPL-2.0
# The chain that people use: kexec loads the crash kernel, makedumpfile saves the
# dump, to a file system or through a network card. Two sound controllers stream; one
# is driven again by the crash kernel, the other goes on while the dump is saved.

target=0000:00:04.0
driven=0000:00:05.0
driverless=0000:00:06.0
host=10.0.2.100

for word in $(cat /proc/cmdline); do
	case $word in
	rig.dump=*) kind=${word#*=} ;;
	rig.load=*) load=${word#*=} ;;
	rig.formats=*) formats=${word#*=} ;;
	esac
done

disk_of() {
	tries=100
	until [ $tries = 0 ]; do
		for disk in /sys/bus/pci/devices/"$1"/virtio*/block/* \
			    /sys/bus/pci/devices/"$1"/nvme/nvme*/nvme*n*; do
			[ -e "$disk/size" ] && echo "/dev/${disk##*/}" && return
		done
		tries=$((tries - 1))
		sleep 0.1
	done
}

# Ready to read from the target and to write to it.
open_target() {
	if [ "$kind" = net ]; then
		load_module e1000e
		interface_up $target
		ip addr add 10.0.2.15/24 dev "$(interface_of $target)"
		return
	fi
	disk=$(disk_of $target)
	[ "$disk" ] || give_up "there is no disk"
	mkdir -p /mnt
	mount -t ext4 "$disk" /mnt || give_up "the disk cannot be mounted"
	say "loaded $kind"
}

keep_target_busy() {
	while :; do
		if [ "$kind" = net ]; then
			ping -c 10 -i 0.1 10.0.2.2 > /dev/null 2>&1
		else
			dd if="$disk" of=/dev/null bs=64k 2>/dev/null
		fi
	done &
}

first() {
	load_module snd-hda-codec-generic
	load_module snd-hda-intel
	capture_from $driven $driverless
	open_target
	# what is not on the disk yet would have to be repaired by the crash kernel
	sync
	keep_target_busy
	sleep 0.5
	kexec -p "$load" /boot/kernel --initrd=/boot/initrd --command-line="\
console=ttyS0,115200 rig.role=crash rig.scenario=$scenario rig.dump=$kind \
rig.formats=$formats panic=5 nr_cpus=1 irqpoll reset_devices no_timer_check \
printk.devkmsg=on $crash_options" > /tmp/kexec 2>&1
	status=$?
	while read -r line; do say "kexec: $line"; done < /tmp/kexec
	[ $status = 0 ] && [ "$(cat /sys/kernel/kexec_crash_loaded)" = 1 ] ||
		give_up "kexec does not load the crash kernel"
	say "crash kernel loaded"
	sleep 0.3
	panic_now
}

uptime_of() {
	cut -d ' ' -f 1 /proc/uptime
}

# save FORMAT: a letter of makedumpfile's and a level of its filter
save() {
	level=${1#?}
	begin=$(uptime_of)
	if [ "$kind" = net ]; then
		{
			makedumpfile -F -"${1%"$level"}" -d "$level" /proc/vmcore 2>/tmp/log ||
				echo failed > /tmp/failed
		} | timeout 200 nc $host 9000 || echo failed > /tmp/failed
	else
		makedumpfile -"${1%"$level"}" -d "$level" /proc/vmcore "/mnt/vmcore.$1" \
			> /tmp/log 2>&1 || echo failed > /tmp/failed
		sync
	fi
	tr '\r' '\n' < /tmp/log | grep -v -e '%' -e '^$' |
	while read -r line; do say "makedumpfile: $line"; done
	if [ -e /tmp/failed ]; then
		rm /tmp/failed
		say "error: makedumpfile fails with format $1"
	else
		say "saved $1 $(echo "$begin $(uptime_of)" | awk '{ print $2 - $1 }')"
	fi
}

crash() {
	no_automatic_probe
	load_module snd-hda-codec-generic
	load_module snd-hda-intel
	bind_driver snd_hda_intel $driven
	if [ "$kind" = net ]; then
		load_module e1000e
		bind_driver e1000e $target
	fi
	open_target
	for format in $(echo "$formats" | tr ';' ' '); do
		save "$format"
	done
	[ "$kind" = net ] || umount /mnt
	ask_host scan
}
