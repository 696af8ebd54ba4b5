# SPDX-License-Identifier: GPL-2.0
# Sound streams, and the crash kernel finds the ACPI table damaged that describes the
# IOMMU: it does not know of it, and the IOMMU goes on as the crashed kernel has left it,
# with interrupts as well.

first() {
	stream_and_crash 0000:00:05.0
}

crash() {
	deaf=deaf
	sleep 1
}
