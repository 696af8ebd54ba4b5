# SPDX-License-Identifier: GPL-2.0
"""IOMMU and mode of a run: the words for both kernels, and QEMU's devices.

A mode is one side ("scalable": both kernels alike) or two ("scalable>legacy": the
kernel that crashes > the crash kernel).
"""

from . import arch, machine

# Words of a kernel's command line, by IOMMU and by what they make of it.
SIDES = {iommu: sides for module in arch.ALL for iommu, sides in module.SIDES.items()}

# The modes that are run, the default of each IOMMU first, and the figures of which
# at least one is not 0 when the unmodified kernel is told so. None: ask the
# scenario. Empty: the unmodified kernel has nothing to hide here.
MODES = {iommu: modes for module in arch.ALL for iommu, modes in module.MODES.items()}


class Variant:
    """One IOMMU in one mode."""

    def __init__(self, iommu, mode):
        self.iommu = iommu
        self.arch = arch.of(iommu)
        self.mode = mode
        self.first, _, crash = mode.partition(">")
        self.crash = crash or self.first
        self.mixed = bool(crash)
        self.first_words = SIDES[iommu][self.first]
        self.crash_words = SIDES[iommu][self.crash]
        self.control_shows = MODES[iommu][mode]
        # Accesses of a device that is not translated may leave no trace in QEMU.
        self.untranslated = self.first in self.arch.UNTRACED

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
        return self.arch.qemu_devices(self, qemu, more)


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
