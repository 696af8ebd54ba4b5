# SPDX-License-Identifier: GPL-2.0
"""Read an IOMMU's tables out of guest memory, as the hardware would.

Used on the crashed kernel's tables, to know every address that was mapped when
it died and not only those a device happened to use, and on the crash kernel's.
"""

import struct

PAGE = 4096


class UnknownFormat(Exception):
    pass


class VtdLegacy:
    """Root table, context tables and second-stage page tables."""

    def __init__(self, memory, root):
        self.memory = memory
        self.root = root
        self.tables = {}        # address of each table seen: its bytes

    def _entries(self, address):
        if address + PAGE > len(self.memory):
            return ()
        data = self.memory[address:address + PAGE]
        self.tables[address] = data
        return struct.unpack("<512Q", data)

    def mappings(self):
        """{requester ID: {IOVA page number: page's physical address}}"""
        devices = {}
        known = {}              # page tables are shared between requester IDs
        root = self._entries(self.root)
        for bus, low in enumerate(root[::2]):
            if not low & 1:
                continue
            context = self._entries(low & ~0xfff)
            for function in range(256):
                low, high = context[2 * function:2 * function + 2]
                if not low & 1 or low >> 2 & 3 == 2:    # absent, pass-through
                    continue
                top = low & ~0xfff
                if top not in known:
                    known[top] = {}
                    self._walk(top, (high & 7) + 1, 0, known[top])
                devices[bus << 8 | function] = known[top]
        return devices

    def _walk(self, table, level, iova, result):
        for index, entry in enumerate(self._entries(table)):
            if not entry & 3:
                continue
            start = iova | index << 12 + 9 * level
            address = entry & 0xffffffffff000
            if level and not entry & 0x80:
                self._walk(address, level - 1, start, result)
                continue
            for page in range(1 << 9 * level):
                result[(start >> 12) + page] = address + page * PAGE


def open_tables(iommu, memory, roots):
    """The tables in use, given the trace's Root records up to now."""
    if iommu != "vtd" or not roots or roots[-1].scalable:
        raise UnknownFormat()
    return VtdLegacy(memory, roots[-1].address & ~0xfff)
