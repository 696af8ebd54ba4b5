# SPDX-License-Identifier: GPL-2.0
"""Read an IOMMU's tables out of guest memory, as the hardware would.

Used on the crashed kernel's tables, to know every address that was mapped when
it died and not only those a device happened to use, and on the crash kernel's.
"""

import bisect
import struct

PAGE = 4096
ADDRESS = 0xffffffffff000

# Bits that hardware sets in an entry by itself: accessed and dirty, say.
NO_HARDWARE_BITS = 0


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

    # Whether hardware does not let go of the root while it translates.
    KEEPS_ROOT = False
    # Bits without which hardware takes an entry for absent: see entry(), and path().
    PRESENT_ENTRY = 1
    PRESENT_PAGE = 3
    # the same of kinds of entry that want others
    PRESENT_OF = {}
    # Bits with which hardware takes a pointer to a page table for absent.
    ABSENT_TABLE = 0
    # {kind of entry: (word, reserved bit)}, and {kind of entry: ((word, bits) of IDs, ...)}
    RESERVED = {}
    IDS = {}
    # More address bits than any machine has.
    WIDTH = 1 << 50

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
        self.untranslated = set()       # devices whose entry is not valid (AMD-Vi)
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
        table, level = self._top(device)
        self._set_top(device, self._copy(table, free))
        table, _level = self._top(device)
        while True:
            where = table + 8 * self._index(device, page, level)
            if not level:
                return where
            entry = self._word(where)
            table = self._copy(self._address(entry), free)
            self._set_word(where, self.pointing(entry, table))
            level = self._level_below(entry, level)

    def _index(self, _device, page, level):
        """Which entry of a table an IOVA page has."""
        return page >> 9 * level & 511

    def table_around(self, place):
        """(address, size) of the table that an entry is in."""
        return place & ~(PAGE - 1), PAGE

    def _copy(self, table, free):
        copy = free.pop()
        self.memory[copy:copy + PAGE] = self.memory[table:table + PAGE]
        return copy

    def _word(self, where):
        return struct.unpack_from("<Q", self.memory, where)[0]

    def _set_word(self, where, value):
        struct.pack_into("<Q", self.memory, where, value)

    def _top(self, device):
        """(address, level) of a device's uppermost page table."""
        where, level = self._tops[device]
        return self.pointer(where), self._level_below(self._word(where), level)

    def _set_top(self, device, table):
        self.aim(self._tops[device][0], table)

    @staticmethod
    def _address(entry):
        """Where an entry of a page table points at."""
        return entry & ADDRESS

    @staticmethod
    def pointing(entry, address):
        """The same entry of a page table, pointing at an address."""
        return entry & ~ADDRESS | address

    @staticmethod
    def aimed(entry, address):
        """A device's entry (bytes, see place()), with tables at an address."""
        pointer, = struct.unpack_from("<Q", entry)
        return struct.pack("<Q", pointer & ~ADDRESS | address) + entry[8:]

    def target(self, place):
        """Where the tables of a device's entry are; None if it is not present."""
        pointer = self._word(place)
        return pointer & ADDRESS if pointer & 1 else None

    def entry(self, device, kind):
        """(address, size, where its pointer is) of an entry on the way to page tables.

        kind: root, context, directory, pasid (VT-d), device (AMD-Vi), root, directory,
        context (RISC-V), or root, stream, context (SMMUv3).
        """
        return self._entry_places[device][kind]

    def pointer(self, where):
        """The address in an entry or a page table's: where as in entry(), or path()."""
        return self._address(self._word(where))

    def aim(self, where, address, copy=None):
        """Make such an entry point at an address, or a copy of it that is elsewhere."""
        copy = copy or where
        self._set_word(copy, self.pointing(self._word(copy), address))

    def entries(self, device):
        """All entries of entry(), from the root on."""
        return list(self._entry_places[device].values())

    def path(self, device, page):
        """Where the entries are that lead to a mapped IOVA page, the uppermost first."""
        table, level = self._top(device)
        places = []
        while True:
            where = table + 8 * self._index(device, page, level)
            places.append(where)
            entry = self._word(where)
            if self._is_leaf(entry, level):
                return places
            table, level = self._address(entry), self._level_below(entry, level)

    def add_mapping(self, device, page, address, free):
        """Map an IOVA page of a device that is not mapped, like one that is.

        Uses pages of the list free for tables.
        """
        like = next(page for page in self.mappings()[device].pages()
                    if len(self.path(device, page)) == self._depth(device))
        table, level = self._top(device)
        for place in self.path(device, like):
            where = table + 8 * self._index(device, page, level)
            model = self._word(place)
            if not level:
                self._set_word(where, self.pointing(self._small_leaf(model), address))
                return
            if not self._is_present(self._word(where)):
                table = free.pop()
                self.memory[table:table + PAGE] = bytes(PAGE)
                self._set_word(where, self.pointing(model, table))
            entry = self._word(where)
            table, level = self._address(entry), self._level_below(entry, level)

    def _depth(self, device):
        """Of the path to a page of 4 KiB."""
        return self._top(device)[1] + 1

    def make_small(self, where):
        """Make the leaf at an address one of 4 KiB, whatever it says of its size."""
        self._set_word(where, self._small_leaf(self._word(where)))

    def copy_tables(self, device, free, target):
        """Copy all page tables of a device to pages of the list free.

        In the copy the leaves lead to what target() returns. Returns where in the
        copy the entries are that path() finds, by their places: {old: new}.
        """
        table, level = self._top(device)
        moved = {}
        self._copy_table(table, level, free, target, moved)
        return moved

    def _copy_table(self, table, level, free, target, moved):
        copy = free.pop()
        for index, entry in enumerate(struct.unpack(
                "<512Q", self.memory[table:table + PAGE])):
            if self._is_present(entry):
                if not self._is_leaf(entry, level):
                    below = self._copy_table(
                        self._address(entry), self._level_below(entry, level), free,
                        target, moved)
                    entry = self.pointing(entry, below)
                elif not level:
                    entry = self.pointing(self._small_leaf(entry), target())
            self._set_word(copy + 8 * index, entry)
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
        self._set_word(where, self._identity(self._word(where)))

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

    def changes(self, memory, ours):
        """How many tables are not what they were, hardware's bits apart.

        ours: whether an address is the crash kernel's memory.
        """
        return sum(self._has_changed(address, memory) and
                   not self._may_change(address, memory, ours) for address in self.tables)

    def _may_change(self, _address, _memory, _ours):
        """Whether a table may have changed as it has."""
        return False

    def _only_ours(self, address, memory, is_ours):
        """Whether the words of a table that have changed are what they may become."""
        before = self.tables[address][0]
        form = f"<{len(before) // 8}Q"
        return all(one == two or is_ours(two) for one, two in zip(
            struct.unpack(form, before),
            struct.unpack(form, memory[address:address + len(before)])))

    def _has_changed(self, address, memory):
        data, bits = self.tables[address]
        now = memory[address:address + len(data)]
        form = f"<{len(data) // 8}Q"
        return now != data and (not bits or any(
            (one ^ two) & ~bits for one, two in zip(
                struct.unpack(form, data), struct.unpack(form, now))))
