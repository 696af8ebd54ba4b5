# SPDX-License-Identifier: GPL-2.0
"""ACPI tables in guest memory: find them, and give the next kernel another one."""

import struct

# What the tables that describe an IOMMU are called, and how long they are before the
# first structure.
SIGNATURE = {"vtd": b"DMAR", "amdvi": b"IVRS"}
HEADER = 48
ROOT_HEADER = 36


class Missing(Exception):
    """The machine has no such table, or no place for another one."""


def find(memory, signature):
    """(address, length) of what looks like an ACPI table with its checksum right."""
    at = memory.find(signature)
    while 0 <= at < len(memory) - HEADER:
        length, = struct.unpack_from("<I", memory, at + 4)
        if ROOT_HEADER <= length <= len(memory) - at and length < 65536 and \
                not sum(memory[at:at + length]) & 0xff:
            yield at, length
        at = memory.find(signature, at + 1)


def seal(memory, at, length):
    """Make the checksum of a table right."""
    memory[at + 9] = (memory[at + 9] - sum(memory[at:at + length])) & 0xff


def _region(iommu, device, start, end):
    """The structure that says that firmware uses a device for this range."""
    bus, slot, function = device >> 8, device >> 3 & 31, device & 7
    if iommu == "vtd":      # RMRR, and a scope of one endpoint
        return struct.pack("<HHHHQQBBHBBBB", 1, 32, 0, 0, start, end - 1,
                           1, 8, 0, 0, bus, slot, function)
    # IVMD of one device: a unity map, for reads and writes
    return struct.pack("<BBHHHQQQ", 0x21, 7, 32, device, 0, 0, start, end - start)


def add_region(memory, iommu, device, start, end, place):
    """Say that firmware uses a device for a range.

    The table that describes the IOMMU grows: a copy of it is made at place, which must
    be free, and all root tables lead there.
    """
    at, length = next(find(memory, SIGNATURE[iommu]), (None, None))
    if at is None:
        raise Missing("the machine has no table that describes its IOMMU")
    more = _region(iommu, device, start, end)
    if any(memory[place:place + length + len(more)]):
        raise Missing(f"there is something at {place:#x} already")
    memory[place:place + length + len(more)] = memory[at:at + length] + more
    struct.pack_into("<I", memory, place + 4, length + len(more))
    seal(memory, place, length + len(more))
    changed = 0
    for signature, word in ((b"RSDT", "<I"), (b"XSDT", "<Q")):
        for root, size in find(memory, signature):
            for entry in range(root + ROOT_HEADER, root + size, struct.calcsize(word)):
                if struct.unpack_from(word, memory, entry) == (at,):
                    struct.pack_into(word, memory, entry, place)
                    seal(memory, root, size)
                    changed += 1
    if not changed:
        raise Missing("no root table leads to the one that describes the IOMMU")
