# SPDX-License-Identifier: GPL-2.0
"""Read an IOMMU's tables out of guest memory, as the hardware would.

Used on the crashed kernel's tables, to know every address that was mapped when
it died and not only those a device happened to use, and on the crash kernel's.
"""

import bisect
import struct

PAGE = 4096
ADDRESS = 0xffffffffff000

# Bits that hardware sets in an entry by itself: accessed and dirty.
NO_HARDWARE_BITS = 0
FIRST_STAGE_BITS = 3 << 5
SECOND_STAGE_BITS = 3 << 8
AMD_V1_BITS = 3 << 5


class PageMap:
    """Mapped IOVA pages in ascending order, as runs: huge pages stay one entry."""

    def __init__(self):
        self.first = []         # first IOVA page of each run
        self.runs = []          # (first IOVA page, pages, first physical address)

    def add(self, page, count, address):
        """The page must lie behind all pages that are there already."""
        if self.runs:
            start, length, base = self.runs[-1]
            if start + length == page and base + length * PAGE == address:
                self.runs[-1] = (start, length + count, base)
                return
        self.first.append(page)
        self.runs.append((page, count, address))

    def find(self, page):
        """The physical address of an IOVA page, or None."""
        index = bisect.bisect_right(self.first, page) - 1
        if index < 0:
            return None
        start, count, address = self.runs[index]
        if page >= start + count:
            return None
        return address + (page - start) * PAGE

    def __contains__(self, page):
        return self.find(page) is not None

    def __len__(self):
        return sum(count for _page, count, _address in self.runs)

    def pages(self):
        for page, count, _address in self.runs:
            yield from range(page, page + count)

    def overlap(self, other):
        """(first IOVA page, pages, address in other) of what both have mapped."""
        index = 0
        for page, count, address in other.runs:
            while index and self.runs[index - 1][0] + self.runs[index - 1][1] > page:
                index -= 1
            while index < len(self.runs) and self.runs[index][0] < page + count:
                start, length, _ = self.runs[index]
                low, high = max(start, page), min(start + length, page + count)
                if low < high:
                    yield low, high - low, address + (low - page) * PAGE
                index += 1


NOTHING = PageMap()


def from_pages(pages):
    """A PageMap of {IOVA page: address}."""
    result = PageMap()
    for page in sorted(pages):
        result.add(page, 1, pages[page])
    return result


def identity(ranges):
    """A PageMap of physical address ranges (start, end) that are not translated."""
    result = PageMap()
    for start, end in ranges:
        result.add(start // PAGE, (end - start) // PAGE, start)
    return result


class Reader:
    """What the formats have in common. ram: what identity devices may access."""

    # Bits without which hardware takes an entry for absent: see entry(), and path().
    PRESENT_ENTRY = 1
    PRESENT_PAGE = 3

    def __init__(self, memory, root, ram):
        self.memory = memory
        self.root = root
        self.ram = ram
        self.tables = {}        # address of each table seen: (its bytes, bits)
        self.inner = set()      # of these, pages that are not the first of their table
        # {requester ID: (domain ID, address of its page table)}, of those translated
        self.domains = {}
        self._tops = {}         # {requester ID: (where that address is, levels)}
        self._kinds = {}        # {requester ID: where the kind of translation is}
        self._places = {}       # {requester ID: (address, size) of its entry}
        # {requester ID: {kind of entry: (address, size, where its pointer is)}}
        self._entry_places = {}
        self._known = {}        # page tables are shared between requester IDs

    def _entries(self, address, hardware_bits=NO_HARDWARE_BITS, pages=1):
        entries = []
        for at in range(address, address + pages * PAGE, PAGE):
            if at + PAGE > len(self.memory):
                return entries
            data = self.memory[at:at + PAGE]
            self.tables[at] = data, hardware_bits
            entries += struct.unpack("<512Q", data)
        return entries

    def _page_tables(self, walk, top, level):
        key = walk, top, level
        if key not in self._known:
            self._known[key] = PageMap()
            walk(top, level, 0, self._known[key])
        return self._known[key]

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

    # Forging: what a scenario may do to the tables of a kernel that is about to crash.

    def place(self, device):
        """(address, size) of a requester ID's entry; mappings() has been called."""
        return self._places[device]

    def place_of_any(self, device):
        """The same for a requester ID without an entry, beside one that has one."""
        for other, (address, size) in self._places.items():
            if self._neighbours(device, other):
                return address + (device - other) * size, size
        raise KeyError(device)

    def copy_path(self, device, page, free):
        """Give a device its own copy of the tables that lead to an IOVA page.

        Uses pages of the list free. Returns where the page's leaf entry is.
        """
        where, level = self._tops[device]
        while True:
            entry, = struct.unpack_from("<Q", self.memory, where)
            table = entry & ADDRESS
            copy = free.pop()
            self.memory[copy:copy + PAGE] = self.memory[table:table + PAGE]
            struct.pack_into("<Q", self.memory, where, entry & ~ADDRESS | copy)
            level = self._level_below(entry, level)
            where = copy + 8 * (page >> 9 * level & 511)
            if not level:
                return where

    def entry(self, device, kind):
        """(address, size, where its pointer is) of an entry on the way to page tables.

        kind: root, context, directory, pasid (VT-d) or device (AMD-Vi).
        """
        return self._entry_places[device][kind]

    def entries(self, device):
        """All entries of entry(), from the root on."""
        return list(self._entry_places[device].values())

    def path(self, device, page):
        """Where the entries are that lead to a mapped IOVA page, the uppermost first."""
        where, level = self._tops[device]
        places = []
        while True:
            entry, = struct.unpack_from("<Q", self.memory, where)
            level = self._level_below(entry, level)
            where = (entry & ADDRESS) + 8 * (page >> 9 * level & 511)
            places.append(where)
            entry, = struct.unpack_from("<Q", self.memory, where)
            if self._is_leaf(entry, level):
                return places

    def add_mapping(self, device, page, address, free):
        """Map an IOVA page of a device that is not mapped, like one that is.

        Uses pages of the list free for tables.
        """
        like = next(page for page in self.mappings()[device].pages()
                    if len(self.path(device, page)) == self._depth(device))
        where, level = self._tops[device]
        for place in self.path(device, like):
            entry, = struct.unpack_from("<Q", self.memory, where)
            level = self._level_below(entry, level)
            where = (entry & ADDRESS) + 8 * (page >> 9 * level & 511)
            model, = struct.unpack_from("<Q", self.memory, place)
            entry, = struct.unpack_from("<Q", self.memory, where)
            if not level:
                struct.pack_into("<Q", self.memory, where,
                                 self._small_leaf(model) & ~ADDRESS | address)
            elif not self._is_present(entry):
                table = free.pop()
                self.memory[table:table + PAGE] = bytes(PAGE)
                struct.pack_into("<Q", self.memory, where, model & ~ADDRESS | table)

    def _depth(self, device):
        """Of the path to a page of 4 KiB."""
        where, level = self._tops[device]
        entry, = struct.unpack_from("<Q", self.memory, where)
        return self._level_below(entry, level) + 1

    def make_small(self, where):
        """Make the leaf at an address one of 4 KiB, whatever it says of its size."""
        entry, = struct.unpack_from("<Q", self.memory, where)
        struct.pack_into("<Q", self.memory, where, self._small_leaf(entry))

    def copy_tables(self, device, free, target):
        """Copy all page tables of a device to pages of the list free.

        In the copy the leaves lead to what target() returns. Returns where in the
        copy the entries are that path() finds, by their places: {old: new}.
        """
        where, levels = self._tops[device]
        entry, = struct.unpack_from("<Q", self.memory, where)
        moved = {}
        self._copy_table(entry & ADDRESS, self._level_below(entry, levels), free,
                         target, moved)
        return moved

    def _copy_table(self, table, level, free, target, moved):
        copy = free.pop()
        for index, entry in enumerate(struct.unpack(
                "<512Q", self.memory[table:table + PAGE])):
            if self._is_present(entry):
                if not self._is_leaf(entry, level):
                    below = self._copy_table(
                        entry & ADDRESS, self._level_below(entry, level), free,
                        target, moved)
                    entry = entry & ~ADDRESS | below
                elif not level:
                    entry = self._small_leaf(entry) & ~ADDRESS | target()
            struct.pack_into("<Q", self.memory, copy + 8 * index, entry)
            moved[table + 8 * index] = copy + 8 * index
        return copy

    @staticmethod
    def _is_present(entry):
        return bool(entry & 3)

    @staticmethod
    def _is_leaf(entry, level):
        return not level or bool(entry & 0x80)

    @staticmethod
    def _small_leaf(entry):
        """The same leaf for a page of 4 KiB, if the entry says how large it is."""
        return entry

    def make_identity(self, device):
        """No translation for a device, whatever its entry points at."""
        where = self._kinds[device]
        entry, = struct.unpack_from("<Q", self.memory, where)
        struct.pack_into("<Q", self.memory, where, self._identity(entry))

    @staticmethod
    def _identity(entry):
        """VT-d's legacy context entry: translation type 2."""
        return entry & ~0xc | 8

    @staticmethod
    def _neighbours(one, other):
        """Whether the entries of two requester IDs are in the same table."""
        return one >> 8 == other >> 8

    @staticmethod
    def _level_below(_entry, level):
        """Of the table that an entry points at, if the tables above have level."""
        return level - 1

    def changes(self, memory):
        """How many tables are not what they were, hardware's bits apart."""
        changed = 0
        for address, (data, bits) in self.tables.items():
            now = memory[address:address + PAGE]
            if now != data and (not bits or any(
                    (one ^ two) & ~bits for one, two in zip(
                        struct.unpack("<512Q", data),
                        struct.unpack("<512Q", now)))):
                changed += 1
        return changed


class VtdLegacy(Reader):
    """Root table, context tables and second-stage page tables."""

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


class VtdScalable(Reader):
    """Root table, context tables, PASID directories and tables, either stage."""

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


class Amd(Reader):
    """Device table, host (v1) page tables and guest (v2) page tables."""

    READ_AND_WRITE = 3 << 61
    PRESENT_ENTRY = 3 | READ_AND_WRITE
    PRESENT_PAGE = 1 | READ_AND_WRITE

    def __init__(self, memory, root, ram):
        super().__init__(memory, root, ram)
        self.untranslated = set()       # devices whose entry is not valid

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


def open_tables(iommu, memory, root, scalable, ram):
    """The tables that a root (VT-d) or device table (AMD) register points at."""
    if iommu == "amdvi":
        return Amd(memory, root, ram)
    return (VtdScalable if scalable else VtdLegacy)(memory, root & ADDRESS, ram)
