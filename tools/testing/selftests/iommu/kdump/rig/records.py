# SPDX-License-Identifier: GPL-2.0
"""What a trace of QEMU's is read into, whatever the IOMMU, and names of devices."""

import collections
import re

# time: seconds since the epoch, the clock that console lines are stamped with
Access = collections.namedtuple("Access", "time device iova address")
Fault = collections.namedtuple("Fault", "time device iova write reason")
# more faults of one device (None: the trace does not say whose) within a moment, when
# there are too many to keep each
Faults = collections.namedtuple("Faults", "time count device")


def count_of(record):
    """How many faults a Fault or Faults stands for."""
    return record.count if isinstance(record, Faults) else 1


# AMD-Vi passed an address on as it was, or blocked the access: the trace has no
# word for the difference, but the device table has
Untranslated = collections.namedtuple("Untranslated", "time device iova")
Switch = collections.namedtuple("Switch", "time on")
# layout: what else tells how to read it: scalable mode of VT-d, STRTAB_BASE_CFG of SMMUv3
Root = collections.namedtuple("Root", "time address layout")
# device: None for all of them at once
Attach = collections.namedtuple("Attach", "time device")
Reset = collections.namedtuple("Reset", "time model")
# the IOMMU forgets what it has cached for a domain ID, or all (None)
Flush = collections.namedtuple("Flush", "time domain")
# the IOMMU tells a device to forget translations that it has cached (ATS)
DeviceFlush = collections.namedtuple("DeviceFlush", "time device")
# a message signalled interrupt comes to the IOMMU
Msi = collections.namedtuple("Msi", "time")

_NUMBER = re.compile(r"0x([0-9a-f]+)")
_DEVICE = re.compile(r"([0-9a-f]{2}):([0-9a-f]{2})\.([0-9a-f]{1,2})")


def requester(text):
    """The 16-bit requester ID of "bus:slot.function"."""
    bus, slot, function = (int(part, 16)
                           for part in _DEVICE.search(text).groups())
    return bus << 8 | slot << 3 | function


def requester_name(number):
    return f"{number >> 8:02x}:{number >> 3 & 31:02x}.{number & 7}"


def numbers(text):
    return [int(digits, 16) for digits in _NUMBER.findall(text)]
