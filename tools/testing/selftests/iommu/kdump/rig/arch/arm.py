# SPDX-License-Identifier: GPL-2.0
"""Arm (64 bits) and its SMMUv3. What each name is for: __init__.py."""

import re

from .. import machine
from ..records import Access, Attach, Fault, Flush, Msi, Root, Switch
from . import arm_tables, cross

NAME = "arm"

# -- what is built and booted ------------------------------------------------------

IMAGE = "arch/arm64/boot/Image"
TARGETS = "Image and modules (ARCH=arm64)"
MAKE_WORDS = ("ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-")
TOOLS = "aarch64-linux-gnu-"
LAST_FUNCTION = "machine_kexec"
STOCK = False
# What the other architectures do not show as well, and what there is instead of bridge.
CHECKED = ("hda", "functions", "driverless", "groups", "reboot", "hotplug", "disk")
# Older ones let pass what Linux aborts.
QEMU = "11"
QEMU_VARIABLE = "QEMU_ARM"
NEWER_QEMU = "qemu-11-arm/qemu-system-aarch64"
KVM = False
SLOWER = 1
CONSOLE = "ttyAMA0"
# The console comes late in the boot, and its first line is what tells the host that the
# crashed kernel's tables are final.
FIRST_WORDS = CRASH_WORDS = ("earlycon",)


def compiler():
    return cross.compiler(TOOLS,
                          "gcc-aarch64-linux-gnu "
                          "and libc6-dev-arm64-cross")


def busybox(out):
    return cross.busybox(out, "arm64", "Arm", "BUSYBOX_ARM")


# -- the machine -------------------------------------------------------------------

RAM = 1 << 30
LEAST_MIB = 1024
# There is no such memory.
NOBODYS = (RAM, RAM)
DISK_CONTROLLER = ("-device", "ich9-ahci,id=ahci,addr=1f")
DISK_PLACE = "00:1f.0"
DISK_BUS = "ahci.0"


def memory_ranges(mebibytes):
    """[(start, end)] of guest memory of this size, as guest physical addresses."""
    return [(RAM, RAM + (mebibytes << 20))]


def model(variant, _accel):
    # the machine's own SMMU has both stages, and Linux takes the first
    return "virt,gic-version=3" + ("" if "stage2" in variant.mode else ",iommu=smmuv3")


def cpu(_accel):
    # without pointer authentication, which takes time when it is emulated
    return "cortex-a57"


def processors(registers):
    """Where processors are, from what the monitor says of their registers."""
    return re.findall(r"\bPC=([0-9a-f]+)", registers)


# -- modes -------------------------------------------------------------------------

# Words of a kernel's command line, by what they make of it.
SIDES = {
    "smmuv3": {
        "stage1": [],
        "stage2": [],
        # devices are found when the IOMMU is there already: they come one by one
        "strict": ["fw_devlink.strict=1"],
        "passthrough": ["iommu.passthrough=1"],
        "off": ["initcall_blacklist=arm_smmu_driver_init"],
    },
}

# See x86.py. There is no word that makes the crash kernel leave the IOMMU off.
MODES = {
    "smmuv3": {
        "stage1": None,
        "stage2": None,
        "strict": None,
        "passthrough>stage1": ("faults", "crash_hits"),
        "stage1>passthrough": ("faults", "crash_hits"),
        "passthrough>passthrough": (),
        "off>stage1": ("faults",),
    },
}

OTHER_WORDS = ()

# The unmodified crash kernel aborts what it does not know.
CONTROLS = {"reboot": ("faults",)}

# An access that is not translated is in the trace as any other.
UNTRACED = ()

# What QEMU cannot show, by the name of the scenario.
CANNOT = {
    "bridge": "the driver of the SMMUv3 refuses devices that share a stream ID, in the "
              "first kernel already",
    "larger": "Linux makes the stream table as large as stream IDs need",
    "smaller": "Linux makes the stream table as large as stream IDs need",
    "stuck": "the stream table of an SMMUv3 has one size, and is never replaced",
    "msis": "the scan of the bus switches MSIs off, and QEMU traces no wires",
    "acpi": "the machine has a device tree, and no ACPI table that could be damaged",
    "posted": "the SMMUv3 has no table of interrupts",
    "ats": "QEMU's SMMUv3 has no ATS for devices that are emulated",
    "wide": "the window of the machine's PCI bus has one size",
}


def qemu_devices(variant, qemu, _more):
    """(QEMU arguments, None), or (None, why this QEMU cannot do it)."""
    if machine.major(qemu) < 11:
        return None, machine.NeedsQemu11("the SMMUv3 needs QEMU 11")
    # what fails to be translated is in QEMU's log, and no event of its trace
    words = ["-d", "guest_errors"]
    if "stage2" in variant.mode:
        words += ["-device", "arm-smmuv3,primary-bus=pcie.0,stage=2"]
    return words, None


# Scenarios about two functions of one group.
PAIRS = ("groups", "removed", "slow", "roots", "contradiction", "mixture")


def why_not(scenario, variant):
    """Why QEMU cannot show a scenario, apart from what the scenario knows itself."""
    if scenario in PAIRS and "strict" in variant.mode:
        # PCI learns that a function is one of several after it has been added
        return "functions that are found one by one get a group each there"
    if scenario == "hotplug" and "strict" in variant.mode:
        # smmu_find_smmu_pcibus(): commands for devices of bus 0 are lost from then on
        return "QEMU takes a port's bus for bus 0 if it must find a device of it before the " \
               "ports have their numbers"
    return CANNOT.get(scenario)


# -- tables ------------------------------------------------------------------------

# The trace tells where tables are.
ROOT_REGISTERS = {}
ROOT_EVENT = "smmuv3_write_mmio"


def open_tables(_iommu, memory, root, layout, ram):
    """The stream table that the register STRTAB_BASE points at."""
    return arm_tables.Streams(memory, root, layout, ram)


def table_format(_run, roots):
    """The fourth argument of open_tables(): the register STRTAB_BASE_CFG."""
    return roots[-1].layout if roots else 0


def same_place(_iommu, expected, found):
    """Whether an access went where tables say; both are addresses of pages."""
    return found == expected


def decided(_run, record):
    """Never called: the trace leaves nothing open."""
    return record


# -- trace -------------------------------------------------------------------------

# Registers by their offset, and bits of them.
CR0, GBPA, STRTAB_BASE, STRTAB_BASE_CFG = 0x20, 0x44, 0x80, 0x88
ENABLED = 1
BASE = arm_tables.STREAM_POINTER
UPDATE = 1 << 31
ABORT = 1 << 20

# The ITS, which gets messages.
_ITS = range(0x8080000, 0x80a0000)

_WRITE = re.compile(r"addr: 0x([0-9a-f]+) val:\s*0x([0-9a-f]+) size: 0x([0-9a-f]+)")
_STREAM = re.compile(r"(?P<region>\S+) sid=(?P<sid>\w+) ")
_ADDRESS = re.compile(r"\b(?:iova|translated)[=:]0x([0-9a-f]+)")
_NUMBER = re.compile(r"=\s*(\w+)")
_FAILED = re.compile(r"(?P<region>\S+) translation failed for iova=0x(?P<iova>[0-9a-f]+) "
                     r"\((?P<why>\w+)\)")
_REGION = re.compile(r"region-(\d+)-\d+$")


def _number(match):
    return int(match[1], 0)


class _Smmu:
    """What its registers say, and whose regions of memory QEMU's log speaks of."""

    def __init__(self):
        self.registers = dict.fromkeys((CR0, GBPA, STRTAB_BASE, STRTAB_BASE_CFG), 0)
        self.devices = {}               # {name of the region: stream ID}

    @property
    def translates(self):
        return bool(self.registers[CR0] & ENABLED)

    @property
    def is_open(self):
        """Whether accesses pass that are not translated."""
        return not self.translates and not self.registers[GBPA] & ABORT

    def write(self, time, text):
        match = _WRITE.search(text)
        offset, value, size = (int(digits, 16) for digits in match.groups())
        register = offset & ~4 if offset & ~4 == STRTAB_BASE else offset
        if register not in self.registers or register == GBPA and not value & UPDATE:
            return None
        before, was_open = self.registers[register], self.is_open
        if register == STRTAB_BASE and size == 4:           # in two halves
            shift = 8 * (offset - register)
            value = before & ~(0xffffffff << shift) | value << shift
        self.registers[register] = value
        # Another table is as bad as none: hardware ignores the write, or worse.
        if register in (STRTAB_BASE, STRTAB_BASE_CFG) and self.translates and \
                value != before:
            return Switch(time, False)
        if register == STRTAB_BASE_CFG:
            return Root(time, self.registers[STRTAB_BASE] & BASE, value)
        return Switch(time, not self.is_open) if self.is_open != was_open else None

    def _stream(self, text):
        match = _STREAM.search(text)
        device = int(match["sid"], 0)
        self.devices[match["region"]] = device
        return device

    def access(self, time, text):
        # what is not translated has one address
        addresses = [int(digits, 16) for digits in _ADDRESS.findall(text)]
        device = self._stream(text)
        if addresses[-1] in _ITS:
            return Msi(time)
        return Access(time, device, addresses[0], addresses[-1])

    def abort(self, time, text):
        iova, = _ADDRESS.findall(text)
        return Fault(time, self._stream(text), int(iova, 16), text.endswith("is_write=1"),
                     "abort")

    def log(self, time, text):
        """A line of QEMU's log, which is no event of the trace."""
        match = _FAILED.search(text)
        if not match:
            return None
        region = match["region"]
        device = self.devices.get(region)
        if device is None:              # one that has never done anything else
            device = int(_REGION.search(region)[1])
        return Fault(time, device, int(match["iova"], 16), None, match["why"])


def _attach(time, text):
    return Attach(time, _number(_NUMBER.search(text)))


def _attach_all(time, _text):
    """The commands for a range of entries: Linux uses that for all of them only."""
    return Attach(time, None)


def _flush(time, text):
    return Flush(time, _number(_NUMBER.search(text)))


def _flush_everything(time, _text):
    return Flush(time, None)


MSIS = {}


def parsers(_iommu):
    """{event of QEMU's trace: what makes a record of its line}"""
    smmu = _Smmu()
    return {
        "smmuv3_write_mmio": smmu.write,
        "smmuv3_translate_success": smmu.access,
        "smmuv3_translate_bypass": smmu.access,
        "smmuv3_translate_disable": smmu.access,
        "smmuv3_translate_abort": smmu.abort,
        "smmuv3_cmdq_cfgi_ste": _attach,
        "smmuv3_cmdq_cfgi_ste_range": _attach_all,
        "smmuv3_cmdq_tlbi_nh_asid": _flush,
        "smmuv3_cmdq_tlbi_s12_vmid": _flush,
        "smmuv3_cmdq_tlbi_nh": _flush_everything,
        "smmuv3_cmdq_tlbi_nsnh": _flush_everything,
        "": smmu.log,
    }


FAULT = re.compile(rb"smmuv3_translate_abort |\S+ translation failed for iova=")
FAULT_SOURCE = re.compile(rb"smmuv3_translate_abort \S+ sid=0x(?P<number>[0-9a-f]+) |"
                          rb"(?P<region>\S+region-(?P<place>\d+)-\d+) translation failed")
# Lines that tell whose a region is.
REGION = re.compile(rb"smmuv3_translate_\w+ (?P<region>\S+) sid=0x(?P<number>[0-9a-f]+) ")
NO_FAULT = None
NOISE = re.compile(rb"smmuv3_write_mmio addr: 0x(?!(?:20|44|80|84|88) )")
ECHO = None
