# SPDX-License-Identifier: GPL-2.0
"""What differs between architectures: one module for each, all with the same names.

What is built and booted
    NAME, IMAGE (below the folder of a kernel build), TARGETS (how people call what is
    built), MAKE_WORDS, TOOLS, compiler(), busybox(), STOCK (there are kernels of a
    distribution, see ../stock.py), CHECKED (scenarios of the check command; all of them if
    it is empty), LAST_FUNCTION (where a kernel that crashes can be stopped).
The machine
    QEMU (the program; "11": the one that fetch_qemu.sh gets), QEMU_VARIABLE (of the
    environment), NEWER_QEMU (where that script puts it), KVM, SLOWER,
    CONSOLE, FIRST_WORDS (for the kernel that crashes), CRASH_WORDS (for the other), RAM (where
    it begins), LEAST_MIB, memory_ranges(), NOBODYS, model(), cpu(), processors(), DISK_CONTROLLER,
    DISK_PLACE, DISK_BUS.
IOMMUs and their modes
    SIDES, MODES, OTHER_WORDS (modes that are like another one: not for the check command),
    CONTROLS (by scenario: see Scenario.control_shows, instead of that),
    UNTRACED, qemu_devices(), why_not(): see x86.py and ../variants.py.
Tables
    ROOT_REGISTERS, ROOT_EVENT, open_tables(), table_format(), same_place(), decided().
Trace
    parsers() (by "": of lines that are no event), MSIS, FAULT, FAULT_SOURCE, REGION (of
    lines that tell whose a name of FAULT_SOURCE is), NO_FAULT, NOISE, ECHO.
"""

from . import arm, riscv, x86

ALL = (x86, riscv, arm)


def of(iommu):
    """The module of the architecture that has this IOMMU."""
    return next(module for module in ALL if iommu in module.MODES)


def of_build(folder):
    """The module of the architecture that a kernel build is for; x86 if there is none."""
    return next((module for module in ALL if (folder / module.IMAGE).exists()), x86)
