# SPDX-License-Identifier: GPL-2.0
"""RISC-V (64 bits) and its IOMMU. What each name is for: __init__.py."""

import re

from .. import machine
from ..records import (Access, Attach, Fault, Flush, Msi, Switch, Untranslated, numbers,
                       requester)
from . import cross, riscv_tables

NAME = "riscv"

# -- what is built and booted ------------------------------------------------------

IMAGE = "arch/riscv/boot/Image"
TARGETS = "Image and modules (ARCH=riscv)"
MAKE_WORDS = ("ARCH=riscv", "CROSS_COMPILE=riscv64-linux-gnu-")
TOOLS = "riscv64-linux-gnu-"
LAST_FUNCTION = None            # QEMU's debugger has not been tried here
STOCK = False
# An emulated machine takes its time: what the other architecture does not show as well.
CHECKED = ("hda", "bridge", "driverless", "reboot", "hotplug", "disk")
# QEMU has this IOMMU since version 10.
QEMU = "11"
QEMU_VARIABLE = "QEMU_RISCV"
NEWER_QEMU = "qemu-11-riscv/qemu-system-riscv64"
KVM = False
# The crash kernel's image is hashed by emulated instructions before it is started.
SLOWER = 3
CONSOLE = "ttyS0,115200"
# The console comes when the crash kernel is half way through its boot, and its first line
# is what tells the host that the crashed kernel's tables are final.
FIRST_WORDS = CRASH_WORDS = ("earlycon=sbi",)


def compiler():
    return cross.compiler(TOOLS,
                          "gcc-riscv64-linux-gnu "
                          "and libc6-dev-riscv64-cross")


def busybox(out):
    return cross.busybox(out, "riscv64", "RISC-V", "BUSYBOX_RISCV")


# -- the machine -------------------------------------------------------------------

RAM = 2 << 30
# With half of that and a reservation of 256 MiB the kernel dies before its first line.
LEAST_MIB = 1024
# The firmware's, at the beginning of memory.
NOBODYS = (RAM, RAM + (2 << 20))
DISK_CONTROLLER = ("-device", "ich9-ahci,id=ahci,addr=1f")
DISK_PLACE = "00:1f.0"
DISK_BUS = "ahci.0"


def memory_ranges(mebibytes):
    """[(start, end)] of guest memory of this size, as guest physical addresses."""
    return [(RAM, RAM + (mebibytes << 20))]


def model(variant, _accel):
    # interrupts are messages (IMSIC), which the IOMMU translates like any other write, or
    # wires
    aia = "aplic" if "wired" in variant.mode else "aplic-imsic"
    return f"virt,iommu-sys=on,aia={aia}"


def cpu(_accel):
    return "max"


def processors(registers):
    """Where processors are, from what the monitor says of their registers."""
    return re.findall(r"^ *pc +([0-9a-f]+)", registers, re.M)


# -- modes -------------------------------------------------------------------------

# Words of a kernel's command line, by what they make of it.
SIDES = {
    "riscv": {
        "translated": [],
        # In the device tree the IOMMU then has the interrupt controller of a machine
        # with messages, and its driver would wait for that one.
        "wired": ["fw_devlink=off"],
        # no MSI page tables, and so short device contexts
        "base-format": [],
        "passthrough": ["iommu.passthrough=1"],
        "off": ["initcall_blacklist=riscv_iommu_platform_driver_init"],
    },
}

# See x86.py. There is no word that makes the crash kernel leave the IOMMU off.
MODES = {
    "riscv": {
        "translated": None,
        "wired": None,
        "base-format": None,
        "passthrough>translated": ("faults", "crash_hits"),
        "translated>passthrough": ("faults", "translation_off"),
        "passthrough>passthrough": (),
        "off>translated": ("faults",),
    },
}

OTHER_WORDS = ()

# Frames as a whole get through by chance where a storm of faults comes first.
CONTROLS = {"bridge": ("crash_hits",)}

# An access that is not translated is in the trace as any other.
UNTRACED = ()

# What QEMU cannot show, by the name of the scenario.
CANNOT = {
    "larger": "the root table of the RISC-V IOMMU has one size",
    "smaller": "the root table of the RISC-V IOMMU has one size",
    "stuck": "the root table of the RISC-V IOMMU has one size, and is never replaced",
    "msis": "the scan of the bus switches MSIs off, and QEMU traces no wires",
    "acpi": "the machine has a device tree, and no ACPI table that could be damaged",
    "posted": "Linux gives the RISC-V IOMMU no table of interrupts",
    "ats": "no QEMU has a device that caches translations of a RISC-V IOMMU",
    "vfio": "VFIO refuses it: the RISC-V driver does not tell if devices are coherent",
    "wide": "the window of the machine's PCI bus has one size",
}


def qemu_devices(variant, qemu, _more):
    """(QEMU arguments, None), or (None, why this QEMU cannot do it)."""
    if machine.major(qemu) < 11:
        return None, machine.NeedsQemu11("the RISC-V IOMMU needs QEMU 11")
    if "base-format" in variant.mode:
        return ["-global", "riscv-iommu.intremap=off"], None
    # What firmware makes of it where nobody drives it; QEMU would block everything.
    if variant.first == "off":
        return ["-global", "riscv-iommu.off=off"], None
    return [], None


def why_not(scenario, _variant):
    """Why QEMU cannot show a scenario, apart from what the scenario knows itself."""
    return CANNOT.get(scenario)


# -- tables ------------------------------------------------------------------------

# Where the registers of iommu-sys are in QEMU.
CAPABILITIES = 0x3010000
DDTP = 0x3010010
ROOT_REGISTERS = {"riscv": DDTP}
ROOT_EVENT = None
CAPABILITY_MSI_FLAT = 1 << 22       # and with that the extended format


def open_tables(_iommu, memory, root, extended, ram):
    """The device directory that the register ddtp points at."""
    return riscv_tables.Directory(memory, root, extended, ram)


def table_format(run, _roots):
    """The fourth argument of open_tables()."""
    return bool(run.register(CAPABILITIES) & CAPABILITY_MSI_FLAT)


def same_place(_iommu, expected, found):
    """Whether an access went where tables say; both are addresses of pages."""
    return found == expected


def decided(run, record):
    """What an access was that kept its address.

    Either that is where tables lead to, which are the crashed kernel's or the crash
    kernel's, or it is a fault that hardware was told not to report (DTF).
    """
    page = record.iova >> 12
    for found in (run.old_map, *(new_map for _when, new_map in run.new_maps)):
        if record.device in found and found[record.device].find(page) == page << 12:
            return Access(*record, record.iova)
    return Fault(*record, None, None)


# -- trace -------------------------------------------------------------------------

# Of the interrupt controllers that get messages.
_IMSIC = range(0x24000000, 0x2c000000)
_BARE = 1
_UNTRANSLATED_WRITE = 3
_WRITE = re.compile(r"addr 0x([0-9a-f]+) value 0x([0-9a-f]+) size (\d+)")


class _Iommu:
    """The state of ddtp, of which there is no event but the write to a register."""

    def __init__(self):
        self.ddtp = 0

    @property
    def translates(self):
        return self.ddtp & 15 > _BARE

    def write(self, time, text):
        match = _WRITE.search(text)
        offset, value = int(match[1], 16) - DDTP, int(match[2], 16)
        if offset not in (0, 4) or "'riscv-iommu-regs'" not in text:
            return None
        if match[3] == "4":             # in two halves
            mask = 0xffffffff << 8 * offset
            value = self.ddtp & ~mask | value << 8 * offset
        before, did = self.ddtp, self.translates
        self.ddtp = value
        # Another directory is as bad as none: what hardware makes of that is not
        # specified.
        if did and value != before:
            return Switch(time, False)
        return Switch(time, True) if self.translates and not did else None

    def access(self, time, text):
        iova, address = numbers(text)
        if address in _IMSIC:
            return Msi(time)
        if iova == address and self.ddtp & 15 != _BARE:
            return Untranslated(time, requester(text), iova)
        return Access(time, requester(text), iova, address)


def _fault(time, text):
    # as in the fault queue: the cause, and further up the type of the transaction
    reason, iova = numbers(text)
    return Fault(time, requester(text), iova, reason >> 34 & 63 == _UNTRANSLATED_WRITE,
                 reason & 0xfff)


def _command(time, text):
    word = numbers(text)[0]
    what = word & 0x3ff             # opcode and function
    if what == 3 and word >> 33 & 1:
        return Attach(time, word >> 40 & 0xffff)
    if what == 1:
        return Flush(time, word >> 12 & 0xfffff if word >> 32 & 1 else None)
    return None


MSIS = {}


def parsers(_iommu):
    """{event of QEMU's trace: what makes a record of its line}"""
    iommu = _Iommu()
    return {
        "memory_region_ops_write": iommu.write,
        "riscv_iommu_dma": iommu.access,
        "riscv_iommu_flt": _fault,
        "riscv_iommu_cmd": _command,
    }


# The second is a fault that was not to be reported: such an access keeps its address. IOVAs
# are handed out from 4 GiB downwards, where no memory is unless there is much.
FAULT = re.compile(rb"riscv_iommu_flt |riscv_iommu_dma .* 0x(f[0-9a-f]{7}) -> 0x\1\b")
FAULT_SOURCE = re.compile(rb"riscv_iommu_(?:flt|dma) .*?"
                          rb"(?P<name>[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]{1,2})")
REGION = None
NO_FAULT = None
NOISE = re.compile(rb"memory_region_ops_write (?!.*'riscv-iommu-regs')")
# After each fault QEMU tells of a translation that was none.
ECHO = re.compile(rb"riscv_iommu_flt "), re.compile(rb"riscv_iommu_dma ")
