# SPDX-License-Identifier: GPL-2.0
"""x86: VT-d and AMD-Vi. What each name is for: __init__.py."""

import os
import re
import shutil

from .. import machine, tables
from ..records import (Access, Attach, DeviceFlush, Fault, Flush, Msi, Root, Switch,
                       Untranslated, numbers, requester)
from . import x86_tables

NAME = "x86"

# -- what is built and booted ------------------------------------------------------

IMAGE = "arch/x86/boot/bzImage"
TARGETS = "bzImage and modules"
QEMU = "qemu-system-x86_64"
QEMU_VARIABLE = "QEMU"
NEWER_QEMU = "qemu-11/qemu-system-x86_64"
MAKE_WORDS = ()
STOCK = True
CHECKED = ()
TOOLS = ""                      # what the names of its compiler and objcopy begin with
LAST_FUNCTION = "machine_kexec" # of a kernel that crashes
KVM = True
SLOWER = 1                      # than what the time limits are made for
CONSOLE = "ttyS0,115200"
FIRST_WORDS = (
    # an emulated timer on a busy host may miss what that check expects
    "no_timer_check",
    # the check of the TSC waits with interrupts off for the other processor, up
    # to a time that does not pass as long as jiffies are the clock
    "tsc=nowatchdog")
CRASH_WORDS = ()


def compiler():
    """Of static programs for the guest."""
    return os.environ.get("CC", "gcc")


def busybox(_out):
    """A static one, or None."""
    return os.environ.get("BUSYBOX") or shutil.which("busybox")


# -- the machine -------------------------------------------------------------------

RAM = 0                         # where it begins
LEAST_MIB = 0
# Of more memory QEMU's q35 puts the rest behind 4 GiB.
HIGH_MIB = 4096
# Linux gives nobody memory of the first MiB.
NOBODYS = (0, 1 << 20)
DISK_CONTROLLER = ()            # q35 has one: ide.0
DISK_PLACE = "00:1f.2"
DISK_BUS = "ide.0"


def memory_ranges(mebibytes):
    """[(start, end)] of guest memory of this size, as guest physical addresses."""
    if mebibytes <= machine.LOW_MIB:
        return [(0, mebibytes << 20)]
    return [(0, machine.LOW_MIB << 20),
            (HIGH_MIB << 20, (HIGH_MIB + mebibytes - machine.LOW_MIB) << 20)]


def model(_variant, accel):
    return "q35,kernel-irqchip=split" if accel == "kvm" else "q35"


def cpu(accel):
    # some hosts offer that register and then refuse to set it
    return "host,-arch-capabilities" if accel == "kvm" else "max"


def processors(registers):
    """Where processors are, from what the monitor says of their registers."""
    return [at + (" (halted)" if halted == "1" else "") for at, halted in
            re.findall(r"RIP=([0-9a-f]+).*?HLT=([01])", registers, re.DOTALL)]


# -- modes -------------------------------------------------------------------------

# Words of a kernel's command line, by what they make of it.
SIDES = {
    "vtd": {
        "legacy": ["intel_iommu=on,sm_off"],
        "scalable": ["intel_iommu=on,sm_on"],
        # the same words: the kernel takes the first stage where hardware has it
        "scalable-fs": ["intel_iommu=on,sm_on"],
        "translated": ["intel_iommu=on,sm_off"],
        "pt": ["intel_iommu=on,sm_off", "iommu=pt"],
        "scalable-pt": ["intel_iommu=on,sm_on", "iommu=pt"],
        "passthrough": ["intel_iommu=on,sm_off", "iommu.passthrough=1"],
        "no-passthrough": ["intel_iommu=on,sm_off", "iommu.passthrough=0"],
        "off": ["intel_iommu=off"],
        "on": ["intel_iommu=on,sm_off"],
        # no word at all: the rig's kernels are built with
        # INTEL_IOMMU_DEFAULT_OFF
        "default": [],
    },
    "amdvi": {
        "v1": ["amd_iommu=pgtbl_v1"],
        "v1-no-intremap": ["amd_iommu=pgtbl_v1"],
        "v2": ["amd_iommu=pgtbl_v2"],
        "translated": ["amd_iommu=pgtbl_v1"],
        "pt": ["amd_iommu=pgtbl_v1", "iommu=pt"],
        "passthrough": ["amd_iommu=pgtbl_v1", "iommu.passthrough=1"],
        "no-passthrough": ["amd_iommu=pgtbl_v1", "iommu.passthrough=0"],
        "off": ["amd_iommu=off"],
        "on": ["amd_iommu=pgtbl_v1"],
    },
}

# See ../variants.py.
MODES = {
    "vtd": {
        "legacy": None,
        "scalable": None,
        "scalable-fs": None,
        "scalable>legacy": ("faults", "translation_off"),
        "legacy>scalable": ("faults", "translation_off"),
        "pt>translated": ("faults", "crash_hits"),
        "translated>pt": ("faults",),
        "pt>pt": (),
        "passthrough>no-passthrough": ("faults", "crash_hits"),
        "no-passthrough>passthrough": ("faults",),
        "off>on": ("faults",),
        "on>off": (),
        "on>default": ("translation_off",),
        "scalable-pt>scalable": ("faults", "crash_hits"),
        "scalable>scalable-pt": ("faults",),
    },
    "amdvi": {
        "v1": None,
        "v1-no-intremap": None,
        "v2": None,
        "pt>translated": ("faults", "crash_hits"),
        "translated>pt": ("faults",),
        "pt>pt": (),
        "passthrough>no-passthrough": ("faults", "crash_hits"),
        "no-passthrough>passthrough": ("faults",),
        # no faults, but no IOMMU either: the crash kernel has no groups
        "off>on": ("reason",),
        "on>off": (),
    },
}

# The same as pt>translated and translated>pt in other words: check leaves them out.
OTHER_WORDS = ("passthrough>no-passthrough", "no-passthrough>passthrough")

# Linux remaps interrupts on AMD-Vi only where it finds an ISA bridge at 00:14.0, the
# southbridge that has the I/O APIC; and only then does it take the IOMMU over as
# early as on real machines. QEMU has no such bridge, but a virtio disk may claim to
# be anything. Nobody drives it.
SOUTHBRIDGE = ["-blockdev", "driver=null-co,node-name=southbridge,size=1048576",
               "-device", "virtio-blk-pci,drive=southbridge,addr=14,class=0x0601"]

# What each scenario says of itself is true of both.
CONTROLS = {}

# What a first kernel does whose devices address memory as it is, which leaves no trace.
UNTRACED = ("pt", "scalable-pt", "passthrough", "off")


def qemu_devices(variant, qemu, more):
    """(QEMU arguments, None), or (None, why this QEMU cannot do it).

    more: properties of the IOMMU that a scenario wants.
    """
    if variant.iommu == "vtd":
        return _vtd_device(variant, machine.properties(qemu, "intel-iommu"), more)
    known = machine.properties(qemu, "amd-iommu")
    if variant.mode == "v2":
        return None, ("QEMU has no guest (v2) page tables of AMD-Vi for DMA: "
                      "Linux falls back to v1")
    device = "amd-iommu"
    if "dma-remap" in known:
        device += ",dma-remap=on"
    # QEMU goes on remapping interrupts by the tables of an IOMMU that is off
    if variant.mode == "v1-no-intremap" or variant.crash == "off":
        return ["-device", device + ",intremap=off"], None
    return ["-device", device + ",intremap=on", *SOUTHBRIDGE], None


def _vtd_device(variant, known, more):
    device = "intel-iommu,intremap=on" + more
    if variant.scalable:
        names = [name for name in ("scalable-mode", "x-scalable-mode")
                 if name in known]
        if not names:
            return None, machine.NeedsQemu11("this QEMU has no scalable mode")
        device += f",{names[0]}=on"
    if variant.mode == "scalable-fs":
        names = [name for name in ("fsts", "x-flts") if name in known]
        if not names:
            return None, machine.NeedsQemu11("the first stage needs QEMU 10 "
                                             "or later")
        device += f",{names[0]}=on"
    return ["-device", device], None


def why_not(_scenario, _variant):
    """Why QEMU cannot show a scenario, apart from what the scenario knows itself."""
    return None


# -- tables ------------------------------------------------------------------------

# Where AMD-Vi's registers are in QEMU; the first is the device table's address.
AMDVI_DEVICE_TABLE = 0xfed80000
# IOMMUs of which QEMU's trace does not tell where their tables are.
ROOT_REGISTERS = {"amdvi": AMDVI_DEVICE_TABLE}
# The event that does, for the others.
ROOT_EVENT = "vtd_reg_dmar_root"


def open_tables(iommu, memory, root, scalable, ram):
    """The tables that a root (VT-d) or device table (AMD) register points at."""
    if iommu == "amdvi":
        return x86_tables.Amd(memory, root, ram)
    return (x86_tables.VtdScalable if scalable else x86_tables.VtdLegacy)(
        memory, root & tables.ADDRESS, ram)


def table_format(_run, roots):
    """The fourth argument of open_tables(); roots: from the trace, the last one counts."""
    return roots[-1].layout if roots else False


def same_place(iommu, expected, found):
    """Whether an access went where tables say; both are addresses of pages."""
    if iommu != "amdvi":
        return found == expected
    # the trace has the beginning of the page, and pages have many sizes
    return 0 <= expected - found < (found & -found or expected + 1)


def decided(run, record):
    """AMD-Vi's Untranslated records as what the device table makes of them."""
    for when, devices in run.open_devices:
        if when >= record.time and record.device in devices:
            return Access(*record, record.iova)
        if when >= record.time:
            break
    return Fault(*record, None, None)


# -- trace -------------------------------------------------------------------------

def _vtd_translate(time, text):
    iova, address, mask = numbers(text)
    return Access(time, requester(text), iova & ~mask, address)


def _vtd_fault(time, text):
    words = text.split()        # sid S fault N addr A write W
    return Fault(time, int(words[1], 16), int(words[5], 16),
                 words[7] == "1", int(words[3]))


def _vtd_suppressed_fault(time, _text):
    return Fault(time, None, None, None, None)


def _vtd_enable(time, text):
    return Switch(time, text.split()[-1] != "0")


def _vtd_root(time, text):
    words = text.split()        # addr A scalable S
    return Root(time, int(words[1], 16), words[-1] != "0")


def _vtd_context_flush(time, text):
    return Attach(time, numbers(text)[0])


def _flush(time, text):
    return Flush(time, numbers(text)[0])


def _flush_everything(time, _text):
    return Flush(time, None)


class _Amdvi:
    """One line says that a translation was found (or remembered), the next which."""

    def __init__(self):
        self.found = False
        self.on = False

    def translation_found(self, _time, _text):
        self.found = True

    def result(self, time, text):
        found, self.found = self.found, False
        iova, address = numbers(text)
        device = requester(text)
        # of a huge page the address of its beginning is reported, which may be 0
        if not address and not found:
            return Fault(time, device, iova, None, None)
        if not found and address == iova & ~4095:
            return Untranslated(time, device, iova)
        return Access(time, device, iova, address)

    def control(self, time, text):
        # written often, mostly with the same value
        before, self.on = self.on, bool(numbers(text)[0] & 1)
        return Switch(time, self.on) if self.on != before else None

    @staticmethod
    def entry_flush(time, text):
        return Attach(time, requester(text))


def _vtd_descriptor(time, text):
    if not text.startswith("invalidate desc type device"):
        return None
    _high, low = numbers(text)
    return DeviceFlush(time, low >> 32 & 0xffff)


def _msi(time, _text):
    return Msi(time)


# Only for those who ask for them: see Scenario.more_events.
MSIS = {
    "amdvi_ir_remap_msi_req": _msi,
    "vtd_ir_remap_msi_req": _msi,
}

_VTD = {
    "vtd_dmar_translate": _vtd_translate,
    "vtd_dmar_fault": _vtd_fault,
    "vtd_fault_disabled": _vtd_suppressed_fault,
    "vtd_dmar_enable": _vtd_enable,
    "vtd_reg_dmar_root": _vtd_root,
    "vtd_inv_desc_cc_devices": _vtd_context_flush,
    "vtd_inv_desc_iotlb_global": _flush_everything,
    "vtd_inv_desc_iotlb_domain": _flush,
    "vtd_inv_desc": _vtd_descriptor,
}


def parsers(iommu):
    """{event of QEMU's trace: what makes a record of its line}"""
    if iommu == "vtd":
        return dict(_VTD)
    amdvi = _Amdvi()
    return {
        "amdvi_cache_update": amdvi.translation_found,
        "amdvi_iotlb_hit": amdvi.translation_found,
        "amdvi_translation_result": amdvi.result,
        "amdvi_control_status": amdvi.control,
        "amdvi_devtab_inval": amdvi.entry_flush,
        "amdvi_pages_inval": _flush,
        "amdvi_all_inval": _flush_everything,
    }


# A line that tells of a fault, the same with whose it is, and what comes before it when 0
# is where the address really leads to.
FAULT = re.compile(rb"vtd_dmar_fault |vtd_fault_disabled |"
                   rb"amdvi_translation_result .* hpa 0x0\b")
FAULT_SOURCE = re.compile(rb"vtd_dmar_fault sid 0x(?P<number>[0-9a-f]+) |"
                          rb"amdvi_translation_result .*?"
                          rb"(?P<name>[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]{1,2})")
REGION = None
NO_FAULT = re.compile(rb"amdvi_cache_update |amdvi_iotlb_hit ")
# Lines that nobody wants; and a pair: a line that is followed by one that nobody wants.
NOISE = None
ECHO = None
