# SPDX-License-Identifier: GPL-2.0
"""The device directory of the RISC-V IOMMU, and its page tables."""

import struct

from ..tables import PAGE, PageMap, Reader

PPN = (1 << 44) - 1
# Where a page number is: in ddtp, a pointer of the directory, and an entry of a page table;
# in a device context it is at bit 0.
PPN_SHIFT = 10
READ_WRITE_EXECUTE = 7 << 1
SMALL_OF_64K = 1 << 63          # Svnapot
ACCESSED_AND_DIRTY = 3 << 6
DDTE_RESERVED = 0x3ff << 54 | 0x1ff << 1

ONE_LEVEL = 2                   # of ddtp: more levels follow
SV39 = 8                        # of a first stage context: more levels follow

# Fields of a device context, as words, and bits of the first.
TC, IOHGATP, TA, FSC = range(4)
TC_VALID = 1
TC_SILENT = 1 << 4              # DTF
TC_PROCESSES = 1 << 5           # PDTV


class Directory(Reader):
    """One to three levels of device directory, first stage page tables."""

    KEEPS_ROOT = True
    # without U as well hardware takes a leaf for absent
    PRESENT_PAGE = 1 | 3 << 1 | 1 << 4 | ACCESSED_AND_DIRTY
    RESERVED = {"root": (0, 1 << 1), "directory": (0, 1 << 2), "context": (0, 1 << 12)}
    IDS = {"context": ((TA, 0xfffff << 12),)}
    # pointers of the directory, by how many levels are left
    POINTERS = {1: "directory", 2: "root"}

    def __init__(self, memory, ddtp, extended, ram):
        super().__init__(memory, (ddtp >> PPN_SHIFT & PPN) * PAGE, ram)
        self.levels = (ddtp & 15) - ONE_LEVEL + 1
        self.words = 8 if extended else 4

    def _ids_below(self, level):
        """Bits of a device ID that are below an entry of a table of this level."""
        return (6 if self.words == 8 else 7) + 9 * (level - 1) if level else 0

    def mappings(self):
        """{requester ID: PageMap}"""
        devices = {}
        if self.levels > 0:
            self._table(self.root, self.levels - 1, 0, devices, {})
        return devices

    def _table(self, table, level, first, devices, above):
        """above: of the pointers that lead here, see Reader.entry()."""
        entries = self._entries(table)
        if not level:
            for index in range(len(entries) // self.words):
                self._context(table + 8 * self.words * index, first + index,
                              entries[self.words * index:][:4], devices, above)
            return
        for index, entry in enumerate(entries):
            below = first + (index << self._ids_below(level))
            # PCI has no more of them
            if entry & 1 and below < 1 << 16:
                place = table + 8 * index
                self._table((entry >> PPN_SHIFT & PPN) * PAGE, level - 1, below, devices,
                            above | {self.POINTERS[level]: (place, 8, place)})

    def _context(self, place, device, fields, devices, above):
        if not fields[TC] & TC_VALID:
            return
        mode = fields[FSC] >> 60
        root = (fields[FSC] & PPN) * PAGE
        if fields[IOHGATP] or fields[TC] & TC_PROCESSES:
            found = PageMap()           # neither kernel uses them for itself
        elif not mode:
            found = self.ram
        else:
            found = self._page_tables(self._first_stage, root, mode - SV39 + 2)
        # a crash kernel blocks all that it does not know, and that is everything
        if fields[TC] & TC_SILENT and not len(found):
            return
        devices[device] = found
        self._places[device] = place, 8 * self.words
        self._entry_places[device] = above | {
            "context": (place, 8 * self.words, place + 8 * FSC)}
        self._kinds[device] = place + 8 * FSC
        if mode:
            self.domains[device] = fields[TA] >> 12 & 0xfffff, root
            self._tops[device] = place + 8 * FSC, mode - SV39 + 3

    def _first_stage(self, table, level, iova, result, top=True):
        """Levels count down to 0."""
        for index, entry in enumerate(self._entries(table, ACCESSED_AND_DIRTY)):
            if not entry & 1:
                continue
            start = iova | index << 12 + 9 * level
            # the uppermost bit stands for all above it
            if top and index >> 8:
                start |= -1 << 12 + 9 * (level + 1) & (1 << 64) - 1
            if not entry & READ_WRITE_EXECUTE:
                if level:
                    self._first_stage(self._address(entry), level - 1, start, result,
                                      False)
                continue
            pages = 1 << 9 * level
            address = self._address(entry) & ~(pages * PAGE - 1)
            if entry & SMALL_OF_64K:
                address = address & ~0xffff | start & 0xf000
            result.add(start // PAGE, pages, address)

    @staticmethod
    def _address(entry):
        return (entry >> PPN_SHIFT & PPN) * PAGE

    @staticmethod
    def pointing(entry, address):
        return entry & ~(PPN << PPN_SHIFT) | address // PAGE << PPN_SHIFT

    def _is_context(self, where):
        """Whether a pointer is that of a device context, with the page number at bit 0."""
        return where in self._kinds.values()

    def pointer(self, where):
        if self._is_context(where):
            return (self._word(where) & PPN) * PAGE
        return super().pointer(where)

    def aim(self, where, address, copy=None):
        if not self._is_context(where):
            super().aim(where, address, copy)
            return
        copy = copy or where
        self._set_word(copy, self._word(copy) & ~PPN | address // PAGE)

    @staticmethod
    def aimed(entry, address):
        fsc, = struct.unpack_from("<Q", entry, 8 * FSC)
        fsc = struct.pack("<Q", fsc & ~PPN | address // PAGE)
        return entry[:8 * FSC] + fsc + entry[8 * FSC + 8:]

    def target(self, place):
        if not self._word(place) & TC_VALID:
            return None
        return (self._word(place + 8 * FSC) & PPN) * PAGE

    @staticmethod
    def _is_present(entry):
        return bool(entry & 1)

    @staticmethod
    def _is_leaf(entry, level):
        return not level or bool(entry & READ_WRITE_EXECUTE)

    @staticmethod
    def _small_leaf(entry):
        return entry & ~SMALL_OF_64K

    @staticmethod
    def _identity(_entry):
        """A first stage context: mode Bare."""
        return 0

    def _neighbours(self, one, other):
        return one >> self._ids_below(1) == other >> self._ids_below(1)

    def _may_change(self, address, memory, ours):
        """The register cannot be changed while hardware translates.

        So the crash kernel keeps the root page, and may make its pointers lead to
        tables of its own.
        """
        return self.levels > 1 and address == self.root and self._only_ours(
            address, memory, lambda word: word & 1 and not word & DDTE_RESERVED and
            ours((word >> PPN_SHIFT & PPN) * PAGE))
