# SPDX-License-Identifier: GPL-2.0
"""Tables of VT-d and AMD-Vi."""

from ..tables import ADDRESS, PAGE, PageMap, Reader

# Bits that hardware sets in an entry by itself: accessed and dirty.
FIRST_STAGE_BITS = 3 << 5
SECOND_STAGE_BITS = 3 << 8
AMD_V1_BITS = 3 << 5


class _X86(Reader):
    def _second_stage(self, table, level, iova, result):
        """VT-d; levels count down to 0."""
        for index, entry in enumerate(self._entries(table, SECOND_STAGE_BITS)):
            if not entry & 3:
                continue
            self._descend(self._second_stage, entry, entry & 0x80, level,
                          iova | index << 12 + 9 * level, result)

    def _first_stage(self, table, level, iova, result):
        """x86-64's own format: VT-d's first stage and AMD's guest tables."""
        for index, entry in enumerate(self._entries(table, FIRST_STAGE_BITS)):
            if not entry & 1:
                continue
            self._descend(self._first_stage, entry, entry & 0x80, level,
                          iova | index << 12 + 9 * level, result)

    def _descend(self, walk, entry, leaf, level, iova, result):
        pages = 1 << 9 * level
        if level and not leaf:
            walk(entry & ADDRESS, level - 1, iova, result)
            return
        # below the size of a huge page, address bits have other meanings
        result.add(iova // PAGE, pages, entry & ADDRESS & ~(pages * PAGE - 1))


class VtdLegacy(_X86):
    """Root table, context tables and second-stage page tables."""

    RESERVED = {"root": (0, 1 << 1), "context": (0, 1 << 5)}
    IDS = {"context": ((1, 0xffff << 8),)}

    def mappings(self):
        """{requester ID: PageMap}"""
        devices = {}
        root = self._entries(self.root)
        for bus, low in enumerate(root[::2]):
            if not low & 1:
                continue
            context = self._entries(low & ADDRESS)
            for function in range(len(context) // 2):
                low, high = context[2 * function:2 * function + 2]
                if not low & 1:
                    continue
                device = bus << 8 | function
                place = (root[2 * bus] & ADDRESS) + 16 * function
                self._places[device] = place, 16
                self._entry_places[device] = {
                    "root": (self.root + 16 * bus, 16, self.root + 16 * bus),
                    "context": (place, 16, place)}
                if low >> 2 & 3 == 2:
                    found = self.ram
                else:
                    self.domains[device] = high >> 8 & 0xffff, low & ADDRESS
                    self._tops[device] = place, (high & 7) + 2
                    self._kinds[device] = place
                    found = self._page_tables(self._second_stage, low & ADDRESS,
                                              (high & 7) + 1)
                devices[device] = found
        return devices


class VtdScalable(_X86):
    """Root table, context tables, PASID directories and tables, either stage."""

    RESERVED = {"root": (0, 1 << 1), "context": (0, 1 << 5), "directory": (0, 1 << 2),
                "pasid": (0, 1 << 10)}
    # of a context entry the PASID of requests without one
    IDS = {"context": ((1, 0xfffff),), "pasid": ((1, 0xffff),)}

    def mappings(self):
        devices = {}
        root = self._entries(self.root)
        for half, pointer in enumerate(root):
            if not pointer & 1:
                continue
            context = self._entries(pointer & ADDRESS)
            for function in range(len(context) // 4):
                low, high = context[4 * function:4 * function + 2]
                if low & 1:
                    device = half << 7 | function
                    place = (pointer & ADDRESS) + 32 * function
                    self._places[device] = place, 32
                    self._entry_places[device] = {
                        "root": (self.root + 8 * half, 8, self.root + 8 * half),
                        "context": (place, 32, place)}
                    devices[device] = self._device(device, low & ADDRESS,
                                                   high & 0xfffff)
        return devices

    @staticmethod
    def _neighbours(one, other):
        return one >> 7 == other >> 7

    @staticmethod
    def _identity(entry):
        """A PASID entry: granular translation type 4."""
        return entry & ~0x1c0 | 0x100

    def _device(self, device, directory, pasid):
        # a directory has 512 entries a page; requests without PASID use one
        entry = self._entries(directory + (pasid >> 6) // 512 * PAGE)
        entry = entry[(pasid >> 6) % 512] if entry else 0
        place = directory + 8 * (pasid >> 6)
        self._entry_places[device]["directory"] = place, 8, place
        if not entry & 1:
            return PageMap()
        fields = self._entries(entry & ADDRESS)[8 * (pasid & 63):][:3]
        if len(fields) < 3 or not fields[0] & 1:
            return PageMap()
        kind = fields[0] >> 6 & 7
        place = (entry & ADDRESS) + 64 * (pasid & 63)
        self._kinds[device] = place
        # the first stage has its pointer in the third word
        self._entry_places[device]["pasid"] = (place, 64,
                                               place + 16 * (kind == 1))
        if kind == 1:
            self.domains[device] = fields[1] & 0xffff, fields[2] & ADDRESS
            self._tops[device] = place + 16, 4 + (fields[2] >> 2 & 3)
            return self._page_tables(self._first_stage, fields[2] & ADDRESS,
                                     3 + (fields[2] >> 2 & 3))
        if kind == 2:
            self.domains[device] = fields[1] & 0xffff, fields[0] & ADDRESS
            self._tops[device] = place, (fields[0] >> 2 & 7) + 2
            return self._page_tables(self._second_stage, fields[0] & ADDRESS,
                                     (fields[0] >> 2 & 7) + 1)
        if kind == 4:
            return self.ram
        return PageMap()        # nested: neither kernel uses it for itself


class Amd(_X86):
    """Device table, host (v1) page tables and guest (v2) page tables."""

    READ_AND_WRITE = 3 << 61
    PRESENT_ENTRY = 3 | READ_AND_WRITE
    PRESENT_PAGE = 1 | READ_AND_WRITE
    RESERVED = {"device": (0, 1 << 2)}
    # the domain ID, and the size of the interrupt remapping table
    IDS = {"device": ((1, 0xffff), (2, 0xf << 1))}

    def mappings(self):
        devices = {}
        pages = (self.root & 0x1ff) + 1
        words = self._entries(self.root & ADDRESS, pages=pages)
        self.inner = {(self.root & ADDRESS) + PAGE * page for page in range(1, pages)}
        for device in range(len(words) // 4):
            one, two, three = words[4 * device:4 * device + 3]
            if one & 3 != 3:
                if not one & 1:         # V clear: not translated at all
                    devices[device] = self.ram
                    self.untranslated.add(device)
                continue
            place = (self.root & ADDRESS) + 32 * device
            self._places[device] = place, 32
            self._entry_places[device] = {"device": (place, 32, place)}
            if one >> 55 & 1:
                gcr3 = ((one >> 58 & 7) << 12 | (two >> 16 & 0xffff) << 15 |
                        (two >> 43 & 0x1fffff) << 31)
                self.domains[device] = two & 0xffff, gcr3
                devices[device] = self._guest(gcr3, one >> 56 & 3,
                                              three >> 54 & 3)
            elif one >> 9 & 7:
                self.domains[device] = two & 0xffff, one & ADDRESS
                self._tops[device] = place, (one >> 9 & 7)
                self._kinds[device] = place
                devices[device] = self._page_tables(
                    self._host, one & ADDRESS, one >> 9 & 7)
            elif one & self.READ_AND_WRITE:
                devices[device] = self.ram
        return devices

    @staticmethod
    def _neighbours(_one, _other):
        return True

    @staticmethod
    def _identity(entry):
        """A device table entry: mode 0."""
        return entry & ~0xe00

    @staticmethod
    def _level_below(entry, _level):
        # an entry names the level of what it points at
        return (entry >> 9 & 7) - 1

    @staticmethod
    def _is_present(entry):
        return bool(entry & 1)

    @staticmethod
    def _is_leaf(entry, _level):
        return entry >> 9 & 7 in (0, 7)

    @staticmethod
    def _small_leaf(entry):
        return entry & ~0xe00

    def _guest(self, gcr3, levels, paging):
        """Requests without PASID use the table of PASID 0."""
        for _ in range(levels + 1):
            entry = (self._entries(gcr3) or [0])[0]
            if not entry & 1:
                return PageMap()
            gcr3 = entry & ADDRESS
        return self._page_tables(self._first_stage, gcr3, 3 + paging)

    def _host(self, table, level, iova, result):
        """Levels count down to 1. An entry names the level of what it points at."""
        for index, entry in enumerate(self._entries(table, AMD_V1_BITS)):
            if not entry & 1:
                continue
            slot = 12 + 9 * (level - 1)
            start = iova | index << slot
            address = entry & ADDRESS
            below = entry >> 9 & 7
            if 0 < below < level:       # levels between may be left out
                self._host(address, below, start, result)
                continue
            if below == 7:
                # the size is where the lowest zero of the address is; such an
                # entry is repeated in each slot of its page
                size = (address | PAGE - 1) + 1 & ~(address | PAGE - 1)
                address &= ~(2 * size - 1)
                address |= start & (2 * size - 1) & ~((1 << slot) - 1)
            result.add(start // PAGE, 1 << slot - 12, address)
