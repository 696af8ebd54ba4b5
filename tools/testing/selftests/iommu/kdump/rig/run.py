# SPDX-License-Identifier: GPL-2.0
"""One run: boot, crash, and what the oracle says about it.

The definition of every figure is in ../README, "Results".
"""

import json
import os
import re
import secrets
import time

from . import machine, tables, trace
from .debugger import Debugger, Trap
from .traffic import Wire, marker

KEYS = ("scenario", "iommu", "mode", "kernel", "qemu", "old_hits", "faults",
        "crash_hits", "marker_pages", "shared_iova_pages", "shared_ids",
        "translation_off", "off_at_end",
        "window_ms", "groups", "vmcore", "seconds", "verdict", "reason")


# The image is somewhere in so much from the beginning of its memory on.
LOADED = 32 << 20

# A line of the log about a fault of the IOMMU, or of what is dumped after it.
FAULT_LINE = re.compile(
    r"(DMAR|AMD-Vi|iommu)\b.*\bfault|DMAR: (\[|Dump|.* entry: |pte level|page table)|"
    r"arm-smmu-v3 \S+ event\b|Event logged|IO_PAGE_FAULT|Fault \d+ devid: |(fault|event)\w*: \d+ callbacks suppressed")

# What no kernel says when all is well.
COMPLAINT = re.compile(r"WARNING: |BUG: |UBSAN: |Oops: |general protection fault|Kernel panic - |"
                       r"turning off the locking")

# What Arm and RISC-V say of a processor that got no time on the host, for seconds.
NOT_STOPPED = "SMP: failed to stop secondary CPUs"

# The last that a kernel says: all drivers have been told to end.
DOWN = re.compile(r"reboot: (Restarting system|Power down)")

# A distribution's kernel takes so much longer to boot, and, wherever KASLR has put it,
# must leave room for the crash kernel.
STOCK_SECONDS = 60
STOCK_MIB = 1024

# Kernels that look for their own defects, see Kernel.checks_itself, are so much larger.
CHECKING_LARGER = 2
# While it identifies its processor it has forgotten for a moment that page tables have five
# levels: KASAN takes what an interrupt touches then for a wild address.
CHECKING_WORDS = ("no5lvl",)

# What kdump_state.c must have run, by role.
MIN_SELF_TESTS = {"first": 1, "crash": 9}


class Run:
    """State of one run while it goes on, then the figures made of it."""

    def __init__(self, scenario, kernel_name, variant, folder, first=""):
        self.scenario = scenario
        self.framework = kernel_name != "mainline"
        self.inherits = kernel_name == "framework"
        self.kernel_name = kernel_name
        self.first = first          # the kernel that crashes, if it is another one
        self.variant = variant
        self.iommu = variant.iommu
        self.arch = variant.arch
        self.folder = folder
        self.token = secrets.token_hex(4)
        self.wires = {}
        self.machine = None
        self.debugger = None        # if the guest stands still where it has crashed
        self.trap = None

        # from the console
        self.times = {}
        self.boots = 0
        self.crash_range = None
        self.events = []            # (time, text) for the picture
        self.errors = []
        self.frames = {}
        self.vmcore = False
        self.self_tests = {}        # role: (passed, failed, skipped of the passed)
        self.any_group = False
        self.groups = {}            # group: (state, devices)
        self.states = []            # (time, group, state)
        self.strays = []            # [name, iova, start, end]
        self.mappings = []          # (iova, size) in the order of allocation
        self.refused = 0
        self.memory = {}            # name: KiB in all, KiB available
        self.lent = []              # ranges of crashkernel=...,cma
        self.saved = {}             # format of a dump: seconds that it took
        self.reserved = set()       # IOVA pages nobody gets, told by the guest
        self.sandbox = []           # (iova, size) of memory the host may use
        self.steps = {}             # (step, device): state of its group, or "gone"
        self.loopbacks = []         # what became of data sent through a device
        self.open_season = []       # [device, start, end]: it may fault then
        # name in scenario.devices: when it was unplugged, or its driver let go of it
        self.gone = {}

        # from guest memory
        self.old_root = None        # the register with the root, when the kernel crashed
        self.old_map = None         # {device: tables.PageMap}
        self.old_tables = None
        self.loaded = None          # the crash kernel, before it runs
        self.boot_line = 0          # lines of the console before the crash kernel's
        self.registers = {}         # what registers were, when they were last read
        self.changed = None         # tables of the crashed kernel, at the end
        self.new_maps = []          # (time, {device: tables.PageMap})
        self.open_devices = []      # (time, devices that AMD-Vi does not translate)
        self.shared_ids = 0
        self.ids_of_old_kernel = 0  # still in use when the tables were read
        self.marker_pages = 0

        # from the trace
        self.records = []

    # -- while the machine runs ------------------------------------------------

    def on_line(self, now, line):
        self.scenario.on_console(now, line, self)
        if "Linux version" in line:
            self.boots += 1
            if self.boots == 2 and self.trap:
                self.trap.end()
            if self.boots == 2 and self.crash_range:
                # the crashed kernel stands still now, its tables are final
                self.times["boot"] = now
                self.boot_line = len(self.machine.console)
                self._read_old_tables()
            elif self.boots == 3:
                self.times["over"] = now    # the crash kernel has rebooted
            return None
        if self.boots == 2 and DOWN.search(line):
            self.times["down"] = now
            return None
        if self.boots == 1 and NOT_STOPPED in line:
            # it goes on to write to the memory that is dumped
            raise machine.Lost("the host was too busy: a processor of the kernel that "
                               "crashed did not stop")
        if "Kernel panic - not syncing" in line and self.boots == 1:
            self.times["dead"] = now
            if self.scenario.forges_when_dead and not self.trap:
                self._stop_and_forge()
            return None
        if not self.crash_range:
            self.crash_range = crash_range(line)
            if self.crash_range:
                return None
        match = re.search(r"cma: Reserved (\d+) MiB.* at (0x\w+)", line)
        if match and self.boots == 1:
            start = int(match[2], 16)
            self.lent.append((start, start + (int(match[1]) << 20)))
            return None
        match = re.search(r"\brig(?:\[(first|crash)\])?: (.*)", line)
        if match:
            return self._on_message(now, match[1], match[2].split())
        return None

    def _on_message(self, now, role, words):
        subject, rest = words[0], words[1:]
        if subject == "host:":
            return self._on_request(now, rest)
        if subject == "error:":
            self.errors.append(" ".join(rest))
        elif subject == "userspace" and role == "crash":
            self.times["userspace"] = now
        elif subject == "frames" and len(rest) == 3:
            self.frames[rest[1]] = self.frames.get(rest[1], 0) + int(rest[2])
        elif subject == "vmcore":
            self.vmcore = rest[0] == "good"
            if not self.vmcore:
                self.errors.append("vmcore: " + " ".join(rest[1:]))
        elif subject == "selftest":
            self.self_tests[role] = tuple(map(int, rest))
        elif subject == "group" and role == "crash":
            self.any_group = True
            if rest[1] != "absent":
                self.groups[rest[0]] = (rest[1], rest[2:])
        elif subject == "state" and rest[0].isdigit():
            self.states.append((now, rest[0], rest[1]))
        elif subject == "mapping":
            mapping = (int(rest[0], 16), int(rest[1]))
            if mapping not in self.mappings:
                self.mappings.append(mapping)
        elif subject == "sandbox":
            self.sandbox.append((int(rest[0], 16), int(rest[1])))
        elif subject == "step":
            self.steps[rest[0], rest[1]] = rest[2]
        elif subject == "loopback":
            self.loopbacks.append(" ".join(rest))
        elif subject == "memory":
            self.memory[rest[0]] = (int(rest[1]), int(rest[2]))
        elif subject == "saved":
            self.saved[rest[0]] = float(rest[1])
        elif subject == "refused":
            self.refused = int(rest[0])
        elif subject == "reserved":
            first, last = (int(word, 16) for word in rest[:2])
            # only what a device with few address bits could otherwise be given
            self.reserved |= set(range(first >> 12,
                                       (min(last, 1 << 28) >> 12) + 1))
        elif subject in ("loaded", "bound", "up") and role == "crash":
            self.events.append((now, " ".join(words[:2])))
        return None

    def _on_request(self, now, words):
        """The guest waits for the answer: before it is the past, after it future."""
        request = words[0]
        if request == "panic":
            self.old_root = self._root_register()
            self.scenario.before_panic(self)
            self.loaded = self._crash_kernel()
            self.times["panic"] = time.time()
            if self.debugger:
                self.trap = Trap(self.debugger, self.scenario.extras["last_function"],
                                 self._forge)
                self.trap.start()
        elif request == "may-fault" and words[1] == "end":
            self.open_season[-1][2] = now
        elif request == "may-fault":
            self.open_season.append([trace.requester(words[1]), time.time(),
                                     float("inf")])
        elif request == "stray" and words[1] == "end":
            self.strays[-1][3] = now
        elif request == "stray":
            self.strays.append([words[1], int(words[2], 16), time.time(),
                                float("inf")])
        elif request == "scan":
            self.marker_pages = self._marker_pages()
            self._read_new_tables()
        elif request == "finish":
            self.times["end"] = now
            # e1000e arms its card for wake-up after it has unmapped all: what arrives then
            # is lost, on any kernel
            for wire in self.wires.values():
                if wire.sender not in self.scenario.writes_markers:
                    wire.flood(None, 0)
            if self.scenario.markers_to_the_end or not self.new_maps:
                self.marker_pages = self._marker_pages()
            self._read_new_tables()
        else:
            self.scenario.on_request(request, self)
        return "done"

    def _stop_and_forge(self):
        """A kernel that nothing is known of is stopped when it is seen to have crashed."""
        monitor = self.machine.monitor
        monitor.command("stop")
        try:
            self._forge()
        finally:
            monitor.command("cont")

    def _forge(self):
        """The scenario changes what the dead kernel has left, while nothing runs."""
        reader = self.tables_now()
        # where the trap is the kernel has written its last notes there
        if not reader or not self.in_old_memory(reader.root & tables.ADDRESS) or \
                not self.trap and reader.KEEPS_ROOT and self._crash_kernel() != self.loaded:
            raise machine.Lost("the crash kernel was there before the host could "
                               "change tables")
        self.old_map = reader.mappings()
        self.scenario.after_panic(self, reader)
        self.times["forged"] = time.time()

    def _crash_kernel(self):
        """What is in the memory that it writes to as soon as it runs."""
        start, _end = self.crash_range or (0, 0)
        return bytes(self.machine.memory[start:start + LOADED])

    def _marker_pages(self):
        """Pages of the crash kernel's memory that hold a forbidden marker."""
        if not self.crash_range:
            return 0
        pages = set()
        start, end = self.crash_range
        memory = self.machine.memory
        for sender in self.scenario.writes_markers:
            word = marker(sender, self.token)
            at = memory.find(word, start, end)
            while at >= 0:
                pages.add(at >> 12)
                at = memory.find(word, (at | 4095) + 1, end)
        return len(pages)

    def _read_old_tables(self):
        # The line that tells of the new kernel may have come late; but a table in
        # old memory is the crashed kernel's whenever it is read.
        untranslated = tables.identity(without(without(
            self.machine.ranges, self.crash_range), self.arch.NOBODYS))
        if self.variant.first == "off":
            self.old_map = dict.fromkeys(self.scenario.devices, untranslated)
            return
        reader = self._tables(untranslated, old=True)
        if not reader:
            return
        found = reader.mappings()
        # what was forged since is no mapping of the crashed kernel
        if "forged" not in self.times:
            self.old_map = found
        # nor is a table in the crash kernel's memory
        reader.tables = {address: table for address, table in reader.tables.items()
                         if self.in_old_memory(address)}
        self.old_tables = reader

    def _read_new_tables(self):
        everything = tables.identity(self.machine.ranges)
        reader = self._tables(everything, old=False)
        if reader:
            mappings = reader.mappings()
            now = time.time()
            self.new_maps.append((now, mappings))
            self.shared_ids = max(self.shared_ids, self._shared_ids(reader))
            if "over" not in self.times:
                self.scenario.on_new_tables(self, reader)
            self.open_devices.append((now, reader.untranslated))

    def on_end(self):
        """QEMU has ended, and has left the memory as it was at that moment."""
        if "over" in self.times:            # that was of another kernel
            return
        self.times["over"] = time.time()
        if "end" not in self.times:
            return
        if self.scenario.markers_to_the_end:
            self.marker_pages = max(self.marker_pages, self._marker_pages())
        self._read_new_tables()

    def _shared_ids(self, reader):
        """Domain IDs that both kernels use: what is cached under one is mixed up."""
        ids = {True: set(), False: set()}
        for number, table in reader.domains.values():
            ids[self.in_crash_memory(table)].add(number)
        self.ids_of_old_kernel = len(ids[False])
        return len(ids[True] & ids[False])

    def tables_now(self):
        """A reader of the tables in use, that has read them; or None."""
        reader = self._tables(tables.NOTHING, old=False)
        if reader:
            reader.mappings()
        return reader

    def _tables(self, untranslated, old):
        """A reader of the tables in use; of those in old memory only, if old."""
        known = []
        if self.iommu in self.arch.ROOT_REGISTERS:
            root = self.old_root if old else self._root_register()
        else:
            known = [root for root in trace.roots(self.machine.trace_path, self.iommu)
                     if not old or self.in_old_memory(root.address)]
            root = known[-1].address if known else 0
        if not root & ~0xfff:
            return None
        return self.arch.open_tables(self.iommu, self.machine.memory, root,
                                     self.arch.table_format(self, known), untranslated)

    def _root_register(self):
        """None for an IOMMU of which the trace tells it."""
        address = self.arch.ROOT_REGISTERS.get(self.iommu)
        return self.register(address) if address else None

    def register(self, address):
        """What a register is, or was at last."""
        if "over" not in self.times:        # nobody is there to ask any more
            self.registers[address] = self.machine.monitor.read_register(address)
        return self.registers.get(address, 0)

    # -- afterwards --------------------------------------------------------------

    @property
    def panic(self):
        return self.times["panic"]

    @property
    def end(self):
        """The crash kernel's last check; then it ends by itself."""
        return self.times["end"]

    @property
    def down(self):
        """Its drivers have been told to end, and what they leave goes on."""
        return self.times.get("down", self.end)

    @property
    def over(self):
        """QEMU has ended, or another kernel has begun."""
        return self.times["over"]

    def in_crash_memory(self, address):
        return any(start <= address < end
                   for start, end in (self.crash_range, *self.lent))

    def in_old_memory(self, address):
        return (any(start <= address < end for start, end in self.machine.ranges) and
                not self.in_crash_memory(address))

    def _old(self, device):
        return self.old_map.get(device, tables.NOTHING)

    def old_pages(self):
        """IOVA pages the crashed kernel had mapped for the scenario's devices."""
        pages = set()
        for device in self.scenario.devices:
            pages.update(self._old(device).pages())
        return pages

    def guest_pages(self):
        """IOVA pages of the mappings that the crash kernel's driver told of."""
        pages = set()
        for iova, size in self.mappings:
            pages |= set(range(iova >> 12, (iova + size + 4095) >> 12))
        return pages

    def crash_log(self, pattern):
        """How many lines of the crash kernel's log match a regular expression."""
        return sum(1 for _when, line in self.machine.console[self.boot_line:]
                   if re.search(pattern, line))

    def complaint(self):
        """The first line in which a kernel with the framework says that something is wrong.

        That is the crash kernel, and the one before it until its panic, if that is ours.
        """
        # by place: lines that come together have one time
        lines = self.machine.console[self.boot_line:]
        if not self.first:
            lines = [(when, line) for when, line in self.machine.console
                     if when < self.panic] + lines
        return next((line.strip() for _when, line in lines if COMPLAINT.search(line)), None)

    def group_of_device(self, name):
        for group, (_state, devices) in self.groups.items():
            if name in devices:
                return group
        return None

    def state_of_device(self, name):
        group = self.group_of_device(name)
        return self.groups[group][0] if group else None

    def states_of_device(self, name):
        group = self.group_of_device(name)
        return [state for _time, which, state in self.states if which == group]

    def stray_count(self, name, target):
        """Hits on target (old, crash, fault) of the stray accesses so named."""
        return sum(1 for stray in self.strays if stray[0] == name
                   for kind, _record in self.stray_records(stray)
                   if kind == target)

    def stray_records(self, stray):
        _name, iova, start, end = stray
        for record in self.records:
            if not start <= record.time <= end:
                continue
            if isinstance(record, trace.Fault):
                if record.device in self.scenario.devices and \
                        record.iova >> 12 == iova >> 12:
                    yield "fault", record
            elif isinstance(record, trace.Access):
                if record.device in self.scenario.devices and \
                        record.iova >> 12 == iova >> 12:
                    yield ("crash" if self.in_crash_memory(record.address)
                           else "old"), record

    def evaluate(self):
        """Read the trace and compute every figure. Needs a complete run."""
        self.records = [self._decided(record) for record in trace.read(
            self.machine.trace_path, self.iommu)]
        after = [record for record in self.records
                 if self.panic <= record.time <= self.over]
        self.provoked = [record for stray in self.strays
                         if stray[0] == "released"
                         for kind, record in self.stray_records(stray)
                         if kind == "fault"]
        self.provoked += [record for record in after if self._may_fault(record)]
        provoked = {id(record) for record in self.provoked}
        if self.old_map is None:
            # tables not readable: what was seen in use has to do
            seen = {}
            for record in self.records:
                if isinstance(record, trace.Access) and record.time < self.panic:
                    seen.setdefault(record.device, {})[
                        record.iova >> 12] = record.address & ~4095
            self.old_map = {device: tables.from_pages(pages)
                            for device, pages in seen.items()}

        # Nobody changes the old tables any more, nor uses others. Not at once: the
        # other processors go on for a moment after the message of the panic.
        # What was forged is used when caches are empty, and nobody knows when.
        still = (self.times["dead"] + self.times["boot"]) / 2, self.times["boot"]
        if "forged" in self.times:
            still = self.panic, self.times["forged"]
        self.misread = [
            record for record in after
            if still[0] < record.time < still[1] and
            isinstance(record, trace.Access) and
            record.device in self.scenario.devices and self._misread(record)]

        resets = dict(self.gone)
        attach = None
        self.old_hits, self.crash_hits, self.faults = [], [], []
        self.last_old_hits = {}
        self.translation_off = self.off_at_end = 0
        shared = set()
        released = min((when for when, group, state in self.states
                        if state == "released" and
                        group in self._scenario_groups()), default=float("inf"))
        driven = self.times["boot" if self.scenario.driver_built_in
                            else "userspace"]
        for record in after:
            if isinstance(record, (trace.Fault, trace.Faults)):
                if id(record) not in provoked:
                    self.faults.append((record.time, trace.count_of(record)))
            elif isinstance(record, trace.Switch):
                if record.time <= self.end:
                    self.translation_off += not record.on
                else:
                    self.off_at_end += not record.on
            elif isinstance(record, trace.Reset):
                if record.time > driven:
                    resets.setdefault(record.model, record.time)
            elif isinstance(record, trace.Attach):
                if (attach is None and record.device in self.scenario.devices and
                        record.time > driven):
                    attach = record.time
            elif isinstance(record, trace.Access):
                if record.device not in self.scenario.devices:
                    continue
                if self.in_old_memory(record.address):
                    self.old_hits.append(record.time)
                    self.last_old_hits[record.device] = record.time
                elif self.in_crash_memory(record.address):
                    page = record.iova >> 12
                    if page not in self._old(record.device):
                        continue
                    model = self.scenario.devices[record.device]
                    if record.time < min(released, self.gone.get(model, released)):
                        shared.add((record.device, page))
                    if record.time < resets.get(model, float("inf")):
                        self.crash_hits.append(record.time)

        for when, new_map in self.new_maps:
            for device, model in self.scenario.devices.items():
                if when >= min(released, self.gone.get(model, released)):
                    continue
                shared |= {(device, page) for page in self._reused(
                    self._old(device), new_map.get(device, tables.NOTHING))}
        self.fault_count = sum(count for _time, count in self.faults)
        self.log_lines = sum(1 for when, line in self.machine.console
                             if when >= self.times["boot"] and
                             FAULT_LINE.search(line))
        self.shared_iova_pages = len(shared)
        self.last_old_hit = self.old_hits[-1] if self.old_hits else None
        self.window = None
        reset = min((time for model, time in resets.items()
                     if model in self.scenario.devices.values() and
                     model not in self.gone), default=None)
        if reset is not None and attach is not None and attach <= reset:
            self.window = (attach, reset)

    def _may_fault(self, record):
        """Whether a scenario expects this fault at this time."""
        if not isinstance(record, (trace.Fault, trace.Faults)):
            return False
        # the trace does not say whose faults are suppressed, or were counted
        device = getattr(record, "device", None)
        return any(start <= record.time <= end and device in (whose, None)
                   for whose, start, end in self.open_season)

    def _misread(self, record):
        """Whether an access went elsewhere than the old tables say."""
        expected = self._old(record.device).find(record.iova >> 12)
        if expected is None:
            return True
        return not self.arch.same_place(self.iommu, expected, record.address & ~4095)

    def _reused(self, old, new):
        """Pages of an old map that a new one maps to crash-kernel memory."""
        for page, count, address in old.overlap(new):
            for start, end in (self.crash_range, *self.lent):
                low = max(start, address)
                high = min(end, address + count * 4096)
                for at in range(low, high, 4096):
                    yield page + (at - address) // 4096

    def _decided(self, record):
        """Untranslated records as what tables make of them."""
        if not isinstance(record, trace.Untranslated):
            return record
        return self.arch.decided(self, record)

    def _scenario_groups(self):
        wanted = {trace.requester_name(device)
                  for device in self.scenario.devices}
        groups = {group for group, (_state, devices) in self.groups.items()
                  for device in devices if device.split(":", 1)[1] in wanted}
        if not groups:          # an alias that is no device: behind a bridge
            buses = {name.split(":")[0] for name in wanted}
            groups = {group for group, (_state, devices) in self.groups.items()
                      for device in devices if device.split(":")[1] in buses}
        return groups

    def look_for_changes(self):
        """Compare the crashed kernel's tables with what they were, the first time only."""
        if self.changed is None:
            self.changed = (self.old_tables.changes(self.machine.memory,
                                                    self.in_crash_memory)
                            if self.old_tables else 0)

    def reasons(self):
        """Why the run fails; nothing if it passes."""
        scenario = self.scenario
        if scenario.own_criteria:
            return self.errors + scenario.judge(self)
        reasons = list(self.errors)
        blocks = scenario.blocks or self.framework and not self.inherits
        if (scenario.needs_legacy_dma and not blocks and
                not self.variant.untranslated and not self.old_hits):
            reasons.append("no legacy DMA was seen, so nothing was tested")
        if self.fault_count and not blocks:
            reasons.append(f"{self.fault_count} DMA faults")
        if self.crash_hits and not scenario.forges_when_dead:
            reasons.append(f"{len(self.crash_hits)} legacy accesses reached "
                           f"crash-kernel memory")
        if self.marker_pages:
            reasons.append(f"{self.marker_pages} pages of crash-kernel memory "
                           f"overwritten")
        if self.shared_iova_pages and not blocks and not scenario.sharing_allowed:
            reasons.append(f"{self.shared_iova_pages} IOVA pages in use by both "
                           f"kernels")
        if self.shared_ids:
            reasons.append(f"{self.shared_ids} domain IDs in use by both kernels")
        if self.translation_off:
            reasons.append(f"translation switched off {self.translation_off} "
                           f"times")
        if self.off_at_end:
            reasons.append("translation switched off by the crash kernel's own "
                           "shutdown")
        if not self.vmcore and not scenario.checks_vmcore_itself:
            reasons.append("/proc/vmcore was not readable to its end")
        if self.misread:
            reasons.append(f"{len(self.misread)} accesses went elsewhere than the "
                           f"crashed kernel's tables say: the rig misreads them")
        self.look_for_changes()
        if self.changed and not scenario.overwrites_tables:
            reasons.append(f"{self.changed} table pages of the crashed kernel changed")
        for role in ("first", "crash") if self.framework else ():
            if role == "first" and self.first:
                continue            # it knows nothing of the framework
            passed, _failed, skipped = self.self_tests.get(role, (0, 0, 0))
            # the tests of a normal kernel are skipped in a crash kernel and the
            # other way round
            if self.any_group and passed - skipped < MIN_SELF_TESTS[role]:
                reasons.append(f"kdump_state has run {passed - skipped} tests in "
                               f"the {role} kernel")
        complaint = self.framework and self.complaint()
        if complaint:
            reasons.append(f"the kernel complains: {complaint[:120]}")
        if not self.any_group:
            reasons.append("the crash kernel has no IOMMU groups")
        elif self.inherits:
            if not self.groups:
                reasons.append("no kdump_state in any IOMMU group: not a kernel "
                               "with the framework")
            for group in () if blocks else self._scenario_groups():
                state, devices = self.groups[group]
                if state in ("none", "blocked") and not (
                        set(devices) & set(scenario.start_afresh)):
                    reasons.append(f"group {group} ended {state}")
        for (step, device), expected in sorted(scenario.steps(self).items()):
            found = self.steps.get((step, device), "never asked for")
            if found != expected and self.framework:
                reasons.append(f"state of {device} at \"{step}\" is {found}, not "
                               f"{expected}")
        return reasons + scenario.judge(self)

    def result(self, qemu_version, seconds):
        reasons = self.reasons()
        window = self.window and round((self.window[1] - self.window[0]) * 1e3, 2)
        values = (self.scenario.name, self.iommu, self.variant.mode,
                  label(self.kernel_name, self.first), qemu_version,
                  len(self.old_hits),
                  self.fault_count, len(self.crash_hits), self.marker_pages,
                  self.shared_iova_pages, self.shared_ids, self.translation_off,
                  self.off_at_end, window,
                  {group: state for group, (state, _) in self.groups.items()},
                  self.vmcore, round(seconds, 1),
                  "fail" if reasons else "pass", "; ".join(reasons))
        return dict(zip(KEYS, values))

    def series(self):
        """What the picture needs: times are seconds since the panic."""
        def since(times):
            return [round(when - self.panic, 4) for when in times]

        mine = self._scenario_groups()
        return {
            "end": round(self.over - self.panic, 3),
            "boot": round(self.times["boot"] - self.panic, 3),
            "old": since(self.old_hits),
            "faults": [[round(when - self.panic, 4), count]
                       for when, count in self.faults],
            "crash": since(self.crash_hits),
            "provoked": since([record.time for record in self.provoked]),
            "window": self.window and since(self.window),
            "events": [(round(when - self.panic, 3), text)
                       for when, text in self.events],
            "states": [(round(when - self.panic, 3), state)
                       for when, group, state in self.states if group in mine],
        }


def label(kernel_name, first):
    """What a table calls it: the kernel under test, and the one before it."""
    return f"{kernel_name} after {first}" if first else kernel_name


def crash_range(line):
    """(start, end) of the reservation, if this line of the log tells it."""
    match = re.search(r"crashkernel reserved: 0x(\w+) - 0x(\w+)", line)
    if match:
        return int(match[1], 16), int(match[2], 16)
    # before Linux 6.8
    match = re.search(r"Reserving (\d+)MB of memory at (\d+)MB for crashkernel", line)
    if match:
        size, start = (int(word) << 20 for word in match.groups())
        return start, start + size
    return None


def without(ranges, hole):
    """Ranges (start, end) without what lies in another one."""
    return [(low, high) for start, end in ranges
            for low, high in ((start, min(end, hole[0])), (max(start, hole[1]), end))
            if low < high]


# Until the unmodified kernel must have come to its end, where an emulated processor is slow.
STORM_SECONDS = 180


def time_limit(scenario, kernel_name, variant, first):
    """Seconds until a machine must have come to its end."""
    seconds = scenario.timeout * variant.arch.SLOWER
    if kernel_name == "mainline":
        # what a storm of faults holds up comes to no end later either
        seconds = max(scenario.timeout, min(seconds, STORM_SECONDS))
    seconds *= scenario.slower
    return seconds + (STOCK_SECONDS if first else 0)


def sizes(scenario, variant, first):
    """(MiB of the machine, its reservation for the crash kernel)."""
    memory, reservation = scenario.memory_mib, scenario.crashkernel
    if scenario.extras.get("checks_itself"):
        reservation = re.sub(r"^\d+", lambda match: str(int(match[0]) * CHECKING_LARGER),
                             reservation)
        if memory * CHECKING_LARGER <= machine.LOW_MIB:
            memory *= CHECKING_LARGER
    return max(memory, variant.arch.LEAST_MIB, STOCK_MIB if first else 0), reservation


def _failure(run, qemu_version, seconds, reason):
    """The result object of a run that did not get to its end."""
    result = dict.fromkeys(KEYS)
    result.update(scenario=run.scenario.name, iommu=run.iommu,
                  mode=run.variant.mode, kernel=label(run.kernel_name, run.first),
                  qemu=qemu_version, groups={}, vmcore=False,
                  seconds=round(seconds, 1), verdict="fail", reason=reason)
    return result


def run_once(scenario, kernel_name, image, initrd, variant, qemu, accel, folder,
             words=(), first=""):
    """Returns {"result": ...} with "series", or {"lost": reason}.

    words: rig.* words for both kernels, see guest/init. first: the name of a kernel of
    stock.py that crashes, whose image this then is.
    """
    began = time.monotonic()
    run = Run(scenario, kernel_name, variant, folder, first)
    qemu_version = machine.version(qemu)
    scenario.variant = variant
    iommu_devices, missing = variant.qemu_devices(qemu, scenario.iommu_properties)
    if missing:
        raise machine.Broken(missing)
    crash_options = [*variant.arch.CRASH_WORDS, *variant.crash_words, *scenario.crash_options]
    if kernel_name == "block":
        crash_options.append("iommu.kdump=block")
    if scenario.extras.get("checks_itself"):
        words = (*words, *CHECKING_WORDS, f"rig.slower={scenario.slower}")
        crash_options += CHECKING_WORDS
    memory_mib, reservation = sizes(scenario, variant, first)
    cmdline = " ".join([
        f"console={variant.arch.CONSOLE} printk.devkmsg=on panic=-1",
        f"crashkernel={reservation}", *scenario.first_options,
        *variant.arch.FIRST_WORDS, *variant.first_words, "rig.role=first",
        f"rig.scenario={scenario.script or scenario.name}", *words,
        f"rig.token={run.token}", "rig.crash=" + ";".join(crash_options)])
    outcome = {}
    try:
        run.machine = machine.Machine(folder, qemu, accel, variant, memory_mib)
        for name in scenario.wires:
            run.wires[name] = Wire(run.token)
        run.machine.fds = [wire.qemus.fileno() for wire in run.wires.values()]
        debugging = []
        if scenario.forges_when_dead and scenario.extras.get("last_function"):
            run.debugger = Debugger(str(folder / "debugger"), variant.arch)
            debugging = run.debugger.arguments()
        command = run.machine.command(
            image, None if scenario.root else initrd, cmdline,
            iommu_devices + scenario.qemu_devices(run.wires, folder) + debugging,
            [*trace.events(variant.iommu), *scenario.more_events],
            scenario.reboots, scenario.cpu)
        run.machine.run(command, run.on_line, time_limit(scenario, kernel_name, variant, first))
        run.on_end()
        missing = [name for name in ("panic", "dead", "boot", "userspace", "end")
                   if name not in run.times]
        if missing or not run.crash_range:
            last = run.errors[-1] if run.errors else run.machine.console[-1][1]
            raise machine.Broken(f"the run ended before \"{missing[0]}\": {last}"
                                 if missing else "no crash kernel memory")
        run.evaluate()
        outcome["result"] = run.result(qemu_version, time.monotonic() - began)
        outcome["series"] = run.series()
        outcome["log_lines"] = run.log_lines
        outcome["findings"] = scenario.findings
    except machine.Lost as lost:
        outcome["lost"] = str(lost)
    except machine.Broken as broken:
        outcome["broken"] = True
        outcome["result"] = _failure(run, qemu_version,
                                     time.monotonic() - began, str(broken))
    finally:
        outcome["reached"] = list(run.times)
        for wire in run.wires.values():
            wire.close()
        if run.machine:
            run.machine.close()
    return outcome


def write_outcome(outcome, folder):
    """For the process that started this one: complete, or not there at all."""
    partial = folder / "outcome.partial"
    partial.write_text(json.dumps(outcome), encoding="ascii")
    os.replace(partial, folder / "outcome.json")
