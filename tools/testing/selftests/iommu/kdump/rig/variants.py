# SPDX-License-Identifier: GPL-2.0
"""IOMMU and mode of a run: the words for both kernels, and QEMU's devices.

A mode is one side ("scalable": both kernels alike) or two ("scalable>legacy": the
kernel that crashes > the crash kernel).
"""

from . import machine

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

# The modes that are run, the default of each IOMMU first, and the figures of which
# at least one is not 0 when the unmodified kernel is told so. None: ask the
# scenario. Empty: the unmodified kernel has nothing to hide here.
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

# Linux remaps interrupts on AMD-Vi only where it finds an ISA bridge at 00:14.0, the
# southbridge that has the I/O APIC; and only then does it take the IOMMU over as
# early as on real machines. QEMU has no such bridge, but a virtio disk may claim to
# be anything. Nobody drives it.
SOUTHBRIDGE = ["-blockdev", "driver=null-co,node-name=southbridge,size=1048576",
               "-device", "virtio-blk-pci,drive=southbridge,addr=14,class=0x0601"]

# What a first kernel does whose devices address memory as it is.
UNTRANSLATED = ("pt", "scalable-pt", "passthrough", "off")


class Variant:
    """One IOMMU in one mode."""

    def __init__(self, iommu, mode):
        self.iommu = iommu
        self.mode = mode
        self.first, _, crash = mode.partition(">")
        self.crash = crash or self.first
        self.mixed = bool(crash)
        self.first_words = SIDES[iommu][self.first]
        self.crash_words = SIDES[iommu][self.crash]
        self.control_shows = MODES[iommu][mode]
        # Accesses of a device that is not translated leave no trace in QEMU.
        self.untranslated = self.first in UNTRANSLATED

    def __str__(self):
        return f"{self.iommu}/{self.mode}"

    def __eq__(self, other):
        return str(self) == str(other)

    def __hash__(self):
        return hash(str(self))

    @property
    def scalable(self):
        return "scalable" in self.mode

    @property
    def is_default(self):
        return self.mode == next(iter(MODES[self.iommu]))

    def qemu_devices(self, qemu, more=""):
        """(QEMU arguments, None), or (None, why this QEMU cannot do it).

        more: properties of the IOMMU that a scenario wants.
        """
        if self.iommu == "vtd":
            return self._vtd(machine.properties(qemu, "intel-iommu"), more)
        known = machine.properties(qemu, "amd-iommu")
        if self.mode == "v2":
            return None, ("QEMU has no guest (v2) page tables of AMD-Vi for DMA: "
                          "Linux falls back to v1")
        device = "amd-iommu"
        if "dma-remap" in known:
            device += ",dma-remap=on"
        # QEMU goes on remapping interrupts by the tables of an IOMMU that is off
        if self.mode == "v1-no-intremap" or self.crash == "off":
            return ["-device", device + ",intremap=off"], None
        return ["-device", device + ",intremap=on", *SOUTHBRIDGE], None

    def _vtd(self, known, more):
        device = "intel-iommu,intremap=on" + more
        if self.scalable:
            names = [name for name in ("scalable-mode", "x-scalable-mode")
                     if name in known]
            if not names:
                return None, machine.NeedsQemu11("this QEMU has no scalable mode")
            device += f",{names[0]}=on"
        if self.mode == "scalable-fs":
            names = [name for name in ("fsts", "x-flts") if name in known]
            if not names:
                return None, machine.NeedsQemu11("the first stage needs QEMU 10 "
                                                 "or later")
            device += f",{names[0]}=on"
        return ["-device", device], None


def select(iommu, words):
    """Variants of an IOMMU: by a list of modes separated by commas, or all."""
    if words == "all":
        return [Variant(iommu, mode) for mode in MODES[iommu]]
    unknown = [mode for mode in words.split(",") if mode not in MODES[iommu]]
    if unknown:
        raise machine.Broken(
            f"{iommu} has no mode {unknown[0]}: there are all, "
            + ", ".join(MODES[iommu]))
    return [Variant(iommu, mode) for mode in words.split(",")]


def default(iommu):
    return Variant(iommu, next(iter(MODES[iommu])))
