# SPDX-License-Identifier: GPL-2.0
"""The stream table of an Arm SMMUv3, context descriptors, and page tables (LPAE)."""

import collections
import struct

from ..tables import PAGE, PageMap, Reader

# STRTAB_BASE_CFG
TWO_LEVELS = 1

# A stream table entry, as words, and bits of the first. There are 64 bytes of it.
CONFIG, ATTRIBUTES, STAGE_2, STAGE_2_TABLE = range(4)
WORDS = 8
VALID = 1
CONFIG_SHIFT = 1
ABORT, BYPASS, S1, S2 = 0, 4, 5, 6      # of three bits; 7 is both
S1_CONTEXTS_SHIFT = 59                  # S1CDMax
WITHOUT_SUBSTREAM_BYPASSES = 1          # S1DSS: where there are several contexts
WITHOUT_SUBSTREAM_IS_0 = 2

# A context descriptor, as words; there are 64 bytes of it as well.
TABLE_0 = 1
CONTEXT_VALID = 1 << 31
TABLE_0_OFF = 1 << 14                   # EPD0
ID_SHIFT = 48                           # ASID

# What a pointer may be made of: of an entry of the stream table, and its first level; of a
# table of context descriptors; to page tables; and of these.
STREAM_POINTER = (1 << 52) - (1 << 6)
CONTEXT_POINTER = (1 << 52) - (1 << 12)
TABLE_POINTER = (1 << 52) - (1 << 4)
ENTRY_POINTER = (1 << 48) - (1 << 12)

SPAN = 31                               # of a first-level descriptor of the stream table
DESCRIPTOR_RESERVED = 1 << 5 | 0xfff << 52

# An entry of a page table.
TABLE_OR_PAGE = 2
ACCESSED = 1 << 10
CONTIGUOUS = 1 << 52

# Granules by TG0 and S2TG, as bits of an address, and how many of these there may be in all.
GRANULES = {0: 12, 1: 16, 2: 14}
ADDRESS_BITS = range(25, 53)


class Shape(collections.namedtuple("Shape", "granule levels bits")):
    """What page tables look like: bits of a granule and of an address, and levels."""

    @property
    def index_bits(self):
        return self.granule - 3

    def below(self, level):
        """Bits of an address that are below an entry of a table; the last level is 0."""
        return self.granule + self.index_bits * level

    def entries(self, level):
        """In a table. The uppermost one may be small, or several beside one another."""
        if level == self.levels - 1:
            return 1 << max(0, self.bits - self.below(level))
        return 1 << self.index_bits


def first_stage(context):
    """The Shape of what a context descriptor (its first word) leads to, or None."""
    granule = GRANULES.get(context >> 6 & 3)
    bits = 64 - (context & 63)
    if granule is None or bits not in ADDRESS_BITS:
        return None
    return Shape(granule, -(-(bits - granule) // (granule - 3)), bits)


def second_stage(word):
    """The same of a stream table entry (its third word)."""
    granule = GRANULES.get(word >> 46 & 3)
    bits = 64 - (word >> 32 & 63)
    if granule is None or bits not in ADDRESS_BITS:
        return None
    start = word >> 38 & 3
    shape = Shape(granule, start + (2 if granule == 12 else 1), bits)
    # up to 16 tables may stand beside one another at the top; no hardware has more
    return shape if bits - shape.below(shape.levels - 1) in range(1, shape.index_bits + 5) else None


class Streams(Reader):
    """A stream table of one or two levels, and what it leads to."""

    KEEPS_ROOT = True
    # without AF as well hardware takes a leaf for absent, and without AP[1] or S2AP[0] DMA
    # may not use it, nor what is below a pointer with APTable[0]
    PRESENT_PAGE = 3 | 1 << 6 | ACCESSED
    ABSENT_TABLE = 1 << 61
    # what is aborted is as good as absent
    PRESENT_OF = {"stream": VALID | BYPASS << CONFIG_SHIFT, "context": CONTEXT_VALID}
    # that of a context stands for big-endian tables, which nobody has
    RESERVED = {"root": (0, 1 << 5), "stream": (1, 1 << 24), "context": (0, 1 << 15)}
    IDS = {"context": ((0, 0xffff << ID_SHIFT),)}
    WIDTH = 1 << 48                 # above it an entry of a page table has other bits

    def __init__(self, memory, root, layout, ram):
        super().__init__(memory, root, ram)
        self.two_levels = layout >> 16 & 3 == TWO_LEVELS
        # as many bits of a stream ID are below a descriptor; and in all
        self.split = layout >> 6 & 31
        self.id_bits = min(layout & 63, 16)     # PCI has no more of them
        self._shapes = {}               # {requester ID: Shape}
        self._second_levels = {}        # {address: size} of tables
        self._masks = {}                # {where a pointer is: its bits}

    def mappings(self):
        """{requester ID: PageMap}"""
        devices = {}
        if not self.two_levels:
            self._stream_table(self.root, 1 << self.id_bits, 0, devices, {})
            return devices
        descriptors = self._read(self.root, 1 << max(0, self.id_bits - self.split))
        for index, descriptor in enumerate(descriptors):
            span = descriptor & SPAN
            if not span:
                continue
            place = self.root + 8 * index
            self._masks[place] = STREAM_POINTER
            self._stream_table(descriptor & STREAM_POINTER,
                               1 << min(span - 1, self.split), index << self.split,
                               devices, {"root": (place, 8, place)})
        return devices

    def _read(self, address, count):
        """Words of a table, kept page by page as they were."""
        words = []
        end = address + 8 * count
        while address < end:
            size = min(end, (address | PAGE - 1) + 1) - address
            data = self.memory[address:address + size]
            if len(data) < size:
                break
            self.tables[address] = data, 0
            words += struct.unpack(f"<{size // 8}Q", data)
            address += size
        return words

    def _stream_table(self, table, count, first, devices, above):
        self._second_levels[table] = 8 * WORDS * count
        words = self._read(table, WORDS * count)
        for index in range(len(words) // WORDS):
            self._entry(table + 8 * WORDS * index, first + index,
                        words[WORDS * index:][:4], devices, above)

    def _entry(self, place, device, fields, devices, above):
        """above: of the pointers that lead here, see Reader.entry()."""
        self._places[device] = place, 8 * WORDS
        kind = fields[CONFIG] >> CONFIG_SHIFT & 7
        # a crash kernel blocks all that it does not know, and that is everything
        if not fields[CONFIG] & VALID or kind == ABORT:
            return
        self._kinds[device] = place
        where = place + 8 * (STAGE_2_TABLE if kind == S2 else CONFIG)
        self._masks[where] = TABLE_POINTER if kind == S2 else STREAM_POINTER
        self._entry_places[device] = above | {"stream": (place, 8 * WORDS, where)}
        if kind == BYPASS:
            devices[device] = self.ram
        elif kind == S1:
            devices[device] = self._contexts(device, fields)
        elif kind == S2:
            devices[device] = self._page_tables_of(
                device, where, second_stage(fields[STAGE_2]), fields[STAGE_2] & 0xffff)
        else:
            devices[device] = PageMap()     # neither kernel uses them for itself

    def _contexts(self, device, fields):
        """What is mapped for a device by context descriptors: the one without a PASID."""
        table = fields[CONFIG] & STREAM_POINTER
        if fields[CONFIG] >> S1_CONTEXTS_SHIFT:
            rule = fields[ATTRIBUTES] & 3
            if rule == WITHOUT_SUBSTREAM_BYPASSES:
                return self.ram
            if rule != WITHOUT_SUBSTREAM_IS_0:
                return PageMap()
            # of one level (0), or two
            if fields[CONFIG] >> 4 & 3:
                leads = self._read(table, 1)
                if not leads or not leads[0] & VALID:
                    return PageMap()
                self._masks[table] = CONTEXT_POINTER
                self._entry_places[device]["directory"] = table, 8, table
                table = leads[0] & CONTEXT_POINTER
        context = self._read(table, WORDS)
        if len(context) < WORDS or not context[0] & CONTEXT_VALID or \
                context[0] & TABLE_0_OFF:
            return PageMap()
        where = table + 8 * TABLE_0
        self._masks[where] = TABLE_POINTER
        self._entry_places[device]["context"] = table, 8 * WORDS, where
        return self._page_tables_of(device, where, first_stage(context[0]),
                                    context[0] >> ID_SHIFT)

    def _page_tables_of(self, device, where, shape, number):
        if not shape or not 0 < shape.levels <= 5:
            return PageMap()
        top = self._word(where) & TABLE_POINTER
        self.domains[device] = number, top
        self._tops[device] = where, shape.levels
        self._shapes[device] = shape
        key = top, shape
        if key not in self._known:
            self._known[key] = PageMap()
            self._walk(top, shape.levels - 1, 0, self._known[key], shape)
        return self._known[key]

    def _walk(self, table, level, iova, result, shape):
        """Levels count down to 0."""
        below = shape.below(level)
        for index, entry in enumerate(self._read(table, shape.entries(level))):
            if not entry & VALID:
                continue
            start = iova | index << below
            if entry & TABLE_OR_PAGE and level:
                self._walk(self._output(entry, shape), level - 1, start, result, shape)
            elif entry & ACCESSED and bool(entry & TABLE_OR_PAGE) == (not level):
                result.add(start // PAGE, (1 << below) // PAGE,
                           self._output(entry, shape) & ~((1 << below) - 1))

    @staticmethod
    def _output(entry, shape):
        """Where an entry leads to. Of 64 KiB there are 52 bits, four of them low."""
        address = entry & ENTRY_POINTER & ~((1 << shape.granule) - 1)
        return address | (entry >> 12 & 15) << 48 if shape.granule == 16 else address

    # -- forging: see Reader -------------------------------------------------------

    def _index(self, device, page, level):
        shape = self._shapes[device]
        address = page * PAGE
        return address >> shape.below(level) & shape.entries(level) - 1

    def table_around(self, place):
        for start, size in self._second_levels.items():
            if start <= place < start + size:
                return start, size
        return super().table_around(place)

    @staticmethod
    def _address(entry):
        return entry & ENTRY_POINTER

    @staticmethod
    def pointing(entry, address):
        return entry & ~ENTRY_POINTER | address

    def pointer(self, where):
        return self._word(where) & self._masks.get(where, ENTRY_POINTER)

    def aim(self, where, address, copy=None):
        copy = copy or where
        mask = self._masks.get(where, ENTRY_POINTER)
        self._set_word(copy, self._word(copy) & ~mask | address)

    @staticmethod
    def aimed(entry, address):
        number, mask = CONFIG, STREAM_POINTER
        if struct.unpack_from("<Q", entry)[0] >> CONFIG_SHIFT & 7 == S2:
            number, mask = STAGE_2_TABLE, TABLE_POINTER
        word, = struct.unpack_from("<Q", entry, 8 * number)
        return (entry[:8 * number] + struct.pack("<Q", word & ~mask | address)
                + entry[8 * number + 8:])

    def target(self, place):
        word = self._word(place)
        kind = word >> CONFIG_SHIFT & 7
        if not word & VALID or kind not in (S1, S2):
            return None
        return (word & STREAM_POINTER if kind == S1 else
                self._word(place + 8 * STAGE_2_TABLE) & TABLE_POINTER)

    @staticmethod
    def _is_present(entry):
        return bool(entry & VALID)

    @staticmethod
    def _is_leaf(entry, level):
        return not level or not entry & TABLE_OR_PAGE

    @staticmethod
    def _small_leaf(entry):
        return entry & ~CONTIGUOUS

    @staticmethod
    def _identity(entry):
        return entry & ~(7 << CONFIG_SHIFT) | BYPASS << CONFIG_SHIFT

    def _neighbours(self, one, other):
        return not self.two_levels or one >> self.split == other >> self.split

    def _may_change(self, address, memory, ours):
        """The register cannot be changed while hardware translates.

        So the crash kernel keeps the first level, and may make its descriptors lead to
        tables of its own. Without a second level it writes the table itself.
        """
        if not self.two_levels:
            return self.root <= address < self.root + (8 * WORDS << self.id_bits)
        size = 8 << max(0, self.id_bits - self.split)
        return self.root <= address < self.root + size and self._only_ours(
            address, memory, lambda word: word & SPAN and not word & DESCRIPTOR_RESERVED
            and ours(word & STREAM_POINTER))
