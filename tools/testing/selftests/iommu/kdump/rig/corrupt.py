# SPDX-License-Identifier: GPL-2.0
"""Corrupt tables: what becomes of a crash whose IOMMU tables are garbage.

Between the panic and the crash kernel's first instruction the machine is stopped, and
the host changes entries of the tables that the dead kernel has left. A case is the
kind of entry, the value it gets, and whose entry it is: "leaf-crash-victim".
"""

import collections
import random
import re
import struct

from . import firmware, machine, scenarios, tables, trace

VICTIM, NEIGHBOUR, WORKER = map(trace.requester, ("00:05.0", "00:06.0", "00:07.0"))
FAR = {"vtd": trace.requester("01:00.0"), "amdvi": trace.requester("00:08.0"),
       "riscv": trace.requester("00:08.0"), "smmuv3": trace.requester("01:00.0")}

# Kinds of entry: those that are validated when the IOMMU is taken over, and those of
# page tables, which are when the group gets a driver, or two seconds after the boot.
ENTRIES = ("root", "stream", "context", "directory", "pasid", "device")
PAGE_TABLES = ("top", "middle", "leaf")

# Cases of each mode, as "value@whose" by kind of entry. All kinds and all values are
# there at least once; the full product would show nothing more.
CASES = {
    "vtd": {
        "legacy": {
            "root": "crash@bus loop@bus garbage@bus zeroes@bus width@bus reserved@bus",
            "context": "crash@victim mmio@neighbour loop@victim garbage@all "
                       "zeroes@victim ones@neighbour width@victim reserved@victim "
                       "id@neighbour",
            "top": "crash@victim mmio@neighbour loop@victim zeroes@all ones@victim "
                   "width@neighbour",
            "middle": "crash@neighbour mmio@victim garbage@neighbour ones@all",
            "leaf": "crash@victim crash@neighbour crash@all mmio@victim loop@victim "
                    "garbage@all zeroes@neighbour ones@victim width@victim",
            "region": "crash@victim mmio@victim crash@neighbour own@neighbour",
        },
        "scalable": {
            "root": "ones@bus",
            "context": "crash@victim garbage@victim reserved@victim last@neighbour "
                       "id@victim",
            "directory": "crash@neighbour loop@victim garbage@all zeroes@victim "
                         "width@victim reserved@victim",
            "pasid": "crash@victim mmio@neighbour loop@victim garbage@victim ones@all "
                     "reserved@victim last@neighbour id@victim",
            "top": "crash@neighbour",
            "middle": "width@victim",
            "leaf": "crash@victim garbage@neighbour",
        },
        "scalable-fs": {
            "pasid": "crash@victim",
            "top": "mmio@victim",
            "leaf": "crash@all width@victim",
        },
    },
    "amdvi": {
        "v1": {
            "device": "crash@victim crash@neighbour mmio@neighbour loop@victim "
                      "garbage@all zeroes@victim zeroes@neighbour ones@neighbour "
                      "width@victim reserved@victim last@victim last@neighbour "
                      "id@neighbour",
            "top": "crash@victim mmio@neighbour loop@victim zeroes@all "
                   "width@neighbour",
            "middle": "crash@neighbour mmio@victim garbage@neighbour ones@all",
            "leaf": "crash@victim crash@neighbour crash@all mmio@victim loop@victim "
                    "garbage@all zeroes@neighbour ones@victim width@victim",
            "region": "crash@victim mmio@victim crash@neighbour own@neighbour",
        },
        "v1-no-intremap": {
            "device": "crash@victim garbage@all",
            "leaf": "crash@all",
        },
    },
    "riscv": {
        "translated": {
            "root": "crash@bus loop@bus garbage@bus zeroes@bus width@bus reserved@bus",
            "directory": "crash@victim loop@victim garbage@neighbour zeroes@victim "
                         "ones@neighbour width@victim reserved@victim",
            "context": "crash@victim mmio@neighbour loop@victim garbage@all "
                       "zeroes@victim ones@neighbour width@victim reserved@victim "
                       "last@neighbour id@neighbour",
            "top": "crash@victim mmio@neighbour loop@victim zeroes@all ones@victim "
                   "width@neighbour",
            "middle": "crash@neighbour mmio@victim garbage@neighbour ones@all",
            "leaf": "crash@victim crash@neighbour crash@all mmio@victim loop@victim "
                    "garbage@all zeroes@neighbour ones@victim width@victim",
        },
    },
    "smmuv3": {
        "stage1": {
            "root": "crash@bus loop@bus garbage@bus zeroes@bus width@bus reserved@bus",
            "stream": "crash@victim mmio@neighbour loop@victim garbage@all "
                      "zeroes@victim ones@neighbour width@victim reserved@victim",
            "context": "crash@victim mmio@neighbour loop@victim garbage@all "
                       "zeroes@victim ones@neighbour width@victim reserved@victim "
                       "id@neighbour",
            "top": "crash@victim mmio@neighbour loop@victim zeroes@all ones@victim "
                   "width@neighbour",
            "middle": "crash@neighbour mmio@victim garbage@neighbour ones@all",
            "leaf": "crash@victim crash@neighbour crash@all mmio@victim loop@victim "
                    "garbage@all zeroes@neighbour ones@victim width@victim",
        },
        "stage2": {
            "stream": "crash@victim mmio@neighbour loop@victim garbage@victim "
                      "width@victim",
            "top": "crash@neighbour",
            "middle": "width@victim",
            "leaf": "crash@victim garbage@neighbour",
        },
    },
}

# Part of the check command.
CHECKED = {
    "vtd/legacy": ("root-garbage-bus", "context-crash-victim", "top-crash-victim",
                   "middle-garbage-neighbour", "leaf-crash-victim",
                   "region-own-neighbour"),
    "vtd/scalable": ("directory-garbage-all", "pasid-crash-victim",
                     "pasid-reserved-victim"),
    "amdvi/v1": ("device-crash-victim", "device-ones-neighbour", "device-last-victim",
                 "device-zeroes-neighbour", "top-width-neighbour",
                 "middle-mmio-victim", "leaf-crash-victim"),
    "riscv/translated": ("root-garbage-bus", "directory-crash-victim",
                         "context-crash-victim", "leaf-crash-victim"),
    "smmuv3/stage1": ("root-garbage-bus", "stream-crash-victim", "context-crash-victim",
                      "leaf-crash-victim"),
}

# What must show damage on the unmodified kernel: accesses to the crash kernel's memory
# or a lost dump.
CONTROLS = {
    "vtd/legacy": ("context-crash-victim", "leaf-crash-victim"),
    "vtd/scalable": ("pasid-crash-victim", "leaf-crash-victim"),
    "amdvi/v1": ("device-crash-victim", "leaf-crash-victim"),
    "riscv/translated": ("context-crash-victim", "leaf-crash-victim"),
}

PREFIX = "corrupt-"

# Where neither memory nor a device of this machine is.
MMIO = 0xfed40000
# Firmware's, in what the memory map says is reserved, as it must be.
REGION = 0x1fff8000
# The middle of the crash kernel's memory: it has no use for that much.
CRASH_OFFSET = 128 << 20
CRASH_PAGES = 256

LOST = r"tables are corrupt or could not be copied"
REFUSED = r"\b[1-9]\d* refused and blocked"


def _blocked_line(group):
    return rf"group {group}: .*DMA of the crashed kernel is blocked"


def _left_out_line(group):
    return (rf"group {group}: (?=.*\b[1-9]\d* (pages with a corrupt entry|outside of|"
            rf"out of range)).*left out")


class Corrupt(scenarios.Streams):
    """One case. Streams go on to the end of the run: whatever they reach is legacy."""

    script = "corrupt"
    summary = "tables corrupted after the panic"
    arms = ("mainline", "framework")
    crash_options = ("iommu.kdump_grace=never",)
    blocks = True               # it may: see judge()
    forges_when_dead = True
    LINES = 30                  # about faults, in the log, for each device affected
    timeout = 150

    def __init__(self, case, seed=0):
        self.case = case
        self.name = PREFIX + case
        self.kind, self.value, self.whose = case.split("-")
        self.random = random.Random(f"{case} {seed}")
        # what a device writes through its own leaf table goes to that table
        self.overwrites_tables = (self.kind, self.value) == ("leaf", "loop")
        self.affected = ()      # devices whose entries have been changed
        self.absent = False     # hardware takes the changed entries for absent
        self.old_domains = {}   # {device: its domain ID in the crashed kernel}
        self.free = []          # pages of the crash kernel's memory to use
        self.pages_used = 0
        self._seen = None

    @property
    def roles(self):
        """Requester IDs: two near each other, the edu device, one that is far away."""
        return (VICTIM, NEIGHBOUR, WORKER, FAR[self.variant.iommu])

    @property
    def _leads_to_devices(self):
        """Whether the entry leads to a table of devices. VT-d's directory is of PASIDs."""
        return self.kind == "root" or (self.kind == "directory" and
                                       self.variant.iommu == "riscv")

    @property
    def devices(self):
        return dict.fromkeys(device for device in self.roles if device != WORKER)

    def why_not(self, variant, qemu):
        return scenarios.Scenario.why_not(self, variant, qemu)

    def applies(self, variant, arm):
        return arm in self.arms and self.case in cases_of(variant)

    def qemu_devices(self, wires, folder):
        words = ["-audiodev", "none,id=silence",
                 "-device", "edu,addr=7,dma_mask=0xffffffff"]
        places = ["addr=5", "addr=6"]
        if FAR[self.variant.iommu] >> 8:    # a bus of its own: a root entry of its own
            words += ["-device", "pcie-root-port,id=port0,bus=pcie.0,addr=9,chassis=1"]
            places.append("bus=port0")
        else:
            places.append("addr=8")
        for number, place in enumerate(places):
            words += scenarios.sound(number, place)
        return words

    # -- forging -----------------------------------------------------------------

    def after_panic(self, run, reader):
        missing = [trace.requester_name(device) for device in self.roles
                   if not len(run.old_map.get(device, tables.NOTHING))]
        if missing:
            raise machine.Broken(f"the kernel that crashed had mapped nothing for "
                                 f"{', '.join(missing)}: nothing can be tested")
        self.old_domains = {device: reader.domains[device][0] for device in self.roles}
        start = run.crash_range[0] + CRASH_OFFSET
        self.free = [start + number * tables.PAGE for number in
                     range(CRASH_PAGES, 4 * CRASH_PAGES)]
        targets = {"victim": (VICTIM,), "neighbour": (NEIGHBOUR,), "all": self.roles,
                   "bus": (VICTIM,)}[self.whose]
        if self.kind == "region":
            self._forge_region(run, reader, *targets)
            self.affected = list(targets)
        elif self.kind in ENTRIES:
            changed = {}
            for device in targets:
                entry = reader.entry(device, self.kind)
                if entry not in changed:
                    changed[entry] = device
            for entry, device in changed.items():
                self._forge_entry(run, reader, device, *entry)
            self.affected = [device for device in self.roles
                             if reader.entry(device, self.kind) in changed]
        else:
            for device in targets:
                self._forge_page_tables(run, reader, device)
            self.affected = list(targets)

    def _crash_page(self, run):
        """Pages that the devices reach through forged leaves, in turn."""
        self.pages_used += 1
        return (run.crash_range[0] + CRASH_OFFSET
                + self.pages_used % CRASH_PAGES * tables.PAGE)

    def _forge_entry(self, run, reader, device, place, size, pointer):
        to_crash = None
        if self.value == "crash":
            to_crash = self._copy_of(run, reader, device, pointer)
        self._write(reader, place, size, pointer, to_crash,
                    reader.PRESENT_OF.get(self.kind, reader.PRESENT_ENTRY))

    def _copy_of(self, run, reader, device, pointer):
        """Where in the crash kernel's memory a copy of what an entry leads to is.

        All that a device can reach through the copy is there as well.
        """
        memory = run.machine.memory
        moved = reader.copy_tables(device, self.free, lambda: self._crash_page(run))
        uppermost = reader.path(device, next(run.old_map[device].pages()))[0]
        target = moved[uppermost] & ~(tables.PAGE - 1)
        # tables between the entry and the page tables are copied from below
        for place, _size, where in reversed(reader.entries(device)):
            if where == pointer:
                return target
            table, length = reader.table_around(place)
            copy = self._free_for(length)
            memory[copy:copy + length] = memory[table:table + length]
            reader.aim(where, target, copy + where - table)
            target = copy
        raise machine.Broken("the entry is not on the way to the page tables")

    def _free_for(self, length):
        """The address of free pages for a table of this length, which is aligned so."""
        start = next(page for page in reversed(self.free) if not page % length)
        self.free = [page for page in self.free
                     if not start <= page < start + length]
        return start

    def _forge_page_tables(self, run, reader, device):
        paths = [reader.path(device, page) for page in run.old_map[device].pages()]
        short = [path for path in paths if len(path) < 3]
        if short:
            raise machine.Broken("page tables with fewer than three levels")
        moved = {}
        if self.value == "crash" and self.kind != "leaf":
            moved = reader.copy_tables(device, self.free,
                                       lambda: self._crash_page(run))
        below = {path[index]: path[index + 1] for path in paths
                 for index in range(len(path) - 1)}
        # the second stage of an SMMUv3 has no such bits
        self.absent = (self.value == "ones" and self.kind != "leaf" and
                       reader.ABSENT_TABLE and "stage2" not in self.variant.mode)
        index = {"top": 0, "middle": -2, "leaf": -1}[self.kind]
        for place in sorted({path[index] for path in paths}):
            target = None
            if self.value == "crash":
                target = (self._crash_page(run) if self.kind == "leaf" else
                          moved[below[place]] & ~(tables.PAGE - 1))
            if self.kind == "leaf" and self.value in ("crash", "mmio", "loop"):
                reader.make_small(place)
            self._write(reader, place, 8, place, target, reader.PRESENT_PAGE)

    def _forge_region(self, run, reader, device):
        """Firmware uses a device for a page; the old tables lead there, or elsewhere."""
        memory = run.machine.memory
        # the edu device is idle: its buffers are old memory that nobody needs any more
        free = [run.old_map[WORKER].find(page) for page in run.old_map[WORKER].pages()]
        target = {"crash": self._crash_page(run), "mmio": MMIO, "own": REGION}[self.value]
        try:
            firmware.add_region(memory, run.iommu, device, REGION, REGION + tables.PAGE,
                                REGION + 2 * tables.PAGE)
        except firmware.Missing as missing:
            raise machine.Broken(str(missing)) from None
        reader.add_mapping(device, REGION // tables.PAGE, target, free)
        found = run.tables_now().mappings()[device].find(REGION // tables.PAGE)
        if found != target:
            raise machine.Broken("the host could not forge the mapping")

    def _write(self, reader, place, size, pointer, target, present):
        """Give an entry the value of this case. target: for the value crash."""
        memory = reader.memory
        if self.value == "zeroes":
            memory[place:place + size] = bytes(size)
        elif self.value == "ones":
            memory[place:place + size] = b"\xff" * size
        elif self.value in ("reserved", "last", "id"):
            bits = {"reserved": (reader.RESERVED.get(self.kind, (0, 0)),),
                    "last": ((size // 8 - 1, 1),),
                    "id": reader.IDS.get(self.kind, ())}[self.value]
            for number, mask in bits:
                word, = struct.unpack_from("<Q", memory, place + 8 * number)
                struct.pack_into("<Q", memory, place + 8 * number, word | mask)
        elif self.value == "garbage":
            memory[place:place + size] = self.random.randbytes(size)
            word, = struct.unpack_from("<Q", memory, place)
            if self.kind in ("top", "middle"):
                word &= ~reader.ABSENT_TABLE
            struct.pack_into("<Q", memory, place, word | present)
        else:
            reader.aim(pointer, {"crash": target, "mmio": MMIO,
                                 "loop": pointer & ~(tables.PAGE - 1),
                                 "width": reader.pointer(pointer) | reader.WIDTH}[self.value])

    def on_new_tables(self, run, reader):
        if self.kind != "region" or not run.inherits:
            return
        found = run.new_maps[-1][1].get(self.affected[0], tables.NOTHING)
        if found.find(REGION // tables.PAGE) != REGION:
            run.errors.append("firmware's region is not mapped as firmware wants it")

    # -- what has to come of it ----------------------------------------------------

    def expected(self, device):
        """States that the group of a device may end in."""
        driven = device in (VICTIM, WORKER)
        harmless = {"carrying"} if driven else {"inherited"}
        if device not in self.affected:
            return harmless
        if self.kind == "region":       # firmware's own mapping is no reason to do anything
            return harmless if self.value == "own" else {"carrying"}
        if self.kind in ENTRIES:
            return self._expected_of_entry()
        if (self.value == "loop" and self.kind != "leaf" and
                self.variant.iommu == "amdvi"):
            return {"blocked"}                  # an entry says which level it leads to
        if self.value in ("zeroes", "loop") or self.absent:
            # nothing is mapped any more, or the tables are mapped: no harm to anybody
            return harmless
        if self.kind == "leaf" or self.value == "ones":
            return {"carrying"}                 # without the bad pages
        if self.value == "garbage":
            return {"carrying", "blocked"}      # it may be a leaf, or lead to a table
        return {"blocked"}

    def _expected_of_entry(self):
        if self.value == "zeroes":
            # absent: VT-d blocks the device, AMD-Vi does not translate for it
            return {"carrying"} if self.kind == "device" else {"none", "blocked"}
        if self.value == "loop" and self._leads_to_devices:
            # taken for a table of devices, it has no entries for these
            return {"none", "blocked"}
        if self.value == "id" and (self.kind, self.variant.scalable) != ("context", True):
            # nobody has more than 16 bits of domain IDs: those are as good as any
            return {"blocked", "carrying", "inherited"}
        if self.value == "loop" and (self.kind == "pasid" or
                                     self.variant.iommu == "smmuv3"):
            # what such a table maps as a page table depends on what is in it, as does
            # whether it is a valid context of Arm's
            return {"blocked", "carrying"} | ({"none"} if self.kind == "stream" else set())
        return {"blocked"}

    def must_say(self, run, device):
        """Regular expressions of lines that have to be in the log for a device."""
        state = run.state_of_device(self.full_name(device))
        group = run.group_of_device(self.full_name(device))
        if state == "blocked":
            lines = [_blocked_line(group)]
            if self._leads_to_devices and self.value not in ("loop", "zeroes"):
                lines.append(LOST)
            elif self.kind in ENTRIES and self.value not in ("loop", "zeroes"):
                lines.append(REFUSED)
            return lines
        leaves_out = self.value in ("crash", "mmio", "ones", "width", "garbage")
        if state == "carrying" and self.kind in PAGE_TABLES and leaves_out \
                and not self.absent:
            return [_left_out_line(group)]
        return []

    @staticmethod
    def full_name(device):
        return "0000:" + trace.requester_name(device)

    def _told_to_forget(self, run, device, since):
        """When nothing is cached any more of what the crashed kernel had given it."""
        return next((record.time for record in run.records
                     if record.time >= since and isinstance(record, trace.Flush) and
                     record.domain in (None, self.old_domains[device])), None)

    def _attachments(self, run, device):
        """(time, whether all devices were told so, one by one) of a device's entry."""
        before = None
        for record in run.records:
            if not isinstance(record, trace.Attach):
                continue
            if record.device in (device, None) and record.time > run.times["forged"]:
                yield record.time, (before is not None and
                                    before.device == device - 1 and
                                    record.time - before.time < 0.001)
            before = record

    def taken_over(self, run, device):
        """When the crash kernel's own root or device table was in use."""
        if run.iommu == "vtd":      # the switch empties all caches
            return next((record.time for record in run.records
                         if isinstance(record, trace.Root) and
                         record.time > run.times["forged"] and
                         run.in_crash_memory(record.address)), None)
        if run.iommu in ("riscv", "smmuv3"):    # there is no switch, but all caches are emptied
            return next((record.time for record in run.records
                         if isinstance(record, trace.Flush) and record.domain is None and
                         record.time > run.times["forged"]), None)
        # no trace tells where the table is; it is in use when all entries are flushed
        switched = next((when for when, in_turn in self._attachments(run, device)
                         if in_turn), run.times["forged"])
        return self._told_to_forget(run, device, switched)

    def validated(self, run, device):
        """When nothing of the old tables of a device was in use without a check."""
        taken = self.taken_over(run, device)
        if taken is None or device not in self.affected or self.kind in ENTRIES or \
                run.state_of_device(self.full_name(device)) == "inherited":
            return taken
        attached = next((when for when, in_turn in self._attachments(run, device)
                         if when > taken and not in_turn), None)
        return attached and self._told_to_forget(run, device, attached)

    def _look(self, run):
        """Everything that judge() wants, in one go."""
        if self._seen:
            return self._seen
        seen = collections.Counter()
        healthy = set(self.devices) - set(self.affected)
        validated = {device: self.validated(run, device) for device in self.devices}
        last = {}
        before = set()
        for record in run.records:
            device = getattr(record, "device", None)
            if device not in self.devices or record.time > run.over:
                continue
            if isinstance(record, (trace.Fault, trace.Faults)):
                if device in healthy and record.time >= run.panic:
                    seen["healthy faults"] += trace.count_of(record)
            elif isinstance(record, trace.Access):
                last[device] = record.time
                if record.time < run.times["forged"]:
                    before.add(device)
                    continue
                if run.in_crash_memory(record.address):
                    late = (validated[device] is None or
                            record.time > validated[device])
                    seen["after" if late else "before"] += 1
                    seen["reused"] += late and self._is_new(run, record)
                elif device in healthy and not self._as_mapped(run, record):
                    seen["elsewhere"] += 1
        self._seen = {
            "before": seen["before"], "after": seen["after"],
            "reused": seen["reused"],
            "healthy_faults": seen["healthy faults"], "elsewhere": seen["elsewhere"],
            "silent": sorted(set(self.devices) - before),
            "stopped": sorted(device for device in healthy
                              if run.down - last.get(device, 0) > 0.5),
            "never": sorted(device for device, when in validated.items()
                            if when is None)}
        return self._seen

    @staticmethod
    def _is_new(run, record):
        """Whether the crash kernel itself maps what was accessed."""
        return any(mappings.get(record.device, tables.NOTHING).find(record.iova >> 12)
                   == record.address & ~(tables.PAGE - 1)
                   for _when, mappings in run.new_maps)

    @staticmethod
    def _as_mapped(run, record):
        expected = run.old_map[record.device].find(record.iova >> 12)
        return expected is not None and run.arch.same_place(
            run.iommu, expected, record.address & ~(tables.PAGE - 1))

    def judge(self, run):
        seen = self._look(run)
        self.findings = self._found(run)

        def names(devices):
            return ", ".join(map(trace.requester_name, devices))

        reasons = []
        if run.framework and run.log_lines >= self.LINES * len(self.affected):
            reasons.append(f"{run.log_lines} lines about faults in the log")
        if seen["silent"]:
            reasons.append(f"no DMA of {names(seen['silent'])} before the crash: "
                           f"nothing was tested")
        if seen["never"] and run.framework:
            reasons.append(f"the tables of {names(seen['never'])} were never validated")
        if not run.framework and run.crash_hits:    # nothing is validated there
            reasons.append(f"{len(run.crash_hits)} legacy accesses reached "
                           f"crash-kernel memory")
        elif seen["after"]:
            reasons.append(f"{seen['after']} legacy accesses reached crash-kernel "
                           f"memory after the validation"
                           + (f", {seen['reused']} of them through IOVAs that the crash "
                              f"kernel has handed out again" if seen["reused"] else ""))
        if seen["healthy_faults"]:
            reasons.append(f"{seen['healthy_faults']} faults of healthy devices")
        if seen["elsewhere"]:
            reasons.append(f"{seen['elsewhere']} accesses of healthy devices went "
                           f"elsewhere than before")
        if seen["stopped"]:
            reasons.append(f"the DMA of {names(seen['stopped'])} had stopped before "
                           f"power-off")
        reasons += [f"data sent through the edu device: {text}"
                    for text in run.loopbacks or ["nothing"] if text != "good"]
        if run.inherits:
            reasons += self._judge_states(run)
        return reasons

    def _judge_states(self, run):
        reasons = []
        for device in self.roles:
            state = run.state_of_device(self.full_name(device))
            if state not in self.expected(device):
                reasons.append(f"the group of {trace.requester_name(device)} is "
                               f"{state}, not "
                               f"{' or '.join(sorted(self.expected(device)))}")
            if device in self.affected:
                reasons += [f"no line \"{text}\" in the log"
                            for text in self.must_say(run, device)
                            if not run.crash_log(text)]
        return reasons

    def _found(self, run):
        seen = self._look(run)
        states = {trace.requester_name(device):
                  run.state_of_device(self.full_name(device)) or "-"
                  for device in self.roles}
        wanted = [text for device in self.affected
                  for text in self.must_say(run, device)] if run.inherits else []
        line = next((text for when, text in run.machine.console
                     if when >= run.times["boot"] and
                     any(re.search(want, text) for want in wanted)), "")
        # the unmodified kernel validates nothing: there is no moment to count from
        before, after = seen["before"], seen["after"]
        if not run.framework:
            before, after = before + after, None
        return {"hits_before": before, "hits_after": after,
                "hits_reused": seen["reused"],
                "healthy_faults": seen["healthy_faults"],
                "affected": [trace.requester_name(device)
                             for device in self.affected],
                "states": states,
                "log": re.sub(r"^\[[^]]*\] *(\S+: )?kdump: ", "", line.strip())}


def cases_of(variant):
    """Names of the cases of an IOMMU in a mode."""
    kinds = CASES.get(variant.iommu, {}).get(variant.mode, {})
    return [f"{kind}-{case.replace('@', '-')}" for kind, cases in kinds.items()
            for case in cases.split()]


def named(name, seed=0):
    """The case of this name."""
    return Corrupt(name.removeprefix(PREFIX), seed)
