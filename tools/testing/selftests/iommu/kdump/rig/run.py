# SPDX-License-Identifier: GPL-2.0
"""One run: boot, crash, and what the oracle says about it.

The definition of every figure is in ../README, "Results".
"""

import json
import os
import re
import secrets
import time

from . import machine, scenarios, tables, trace
from .traffic import Wire, marker

KEYS = ("scenario", "iommu", "mode", "kernel", "qemu", "old_hits", "faults",
        "crash_hits", "marker_pages", "shared_iova_pages", "translation_off",
        "window_ms", "groups", "vmcore", "seconds", "verdict", "reason")


class Run:
    """State of one run while it goes on, then the figures made of it."""

    def __init__(self, scenario, kernel_name, iommu, folder):
        self.scenario = scenario
        self.framework = kernel_name == "framework"
        self.kernel_name = kernel_name
        self.iommu = iommu
        self.folder = folder
        self.token = secrets.token_hex(4)
        self.wires = {}
        self.machine = None

        # from the console
        self.times = {}
        self.boots = 0
        self.crash_range = None
        self.events = []            # (time, text) for the picture
        self.errors = []
        self.frames = {}
        self.vmcore = False
        self.groups = {}            # group: (state, devices)
        self.states = []            # (time, group, state)
        self.strays = []            # [name, iova, start, end]
        self.mappings = []          # (iova, size) in the order of allocation
        self.refused = 0
        self.reserved = set()       # IOVA pages nobody gets, told by the guest

        # from guest memory
        self.old_map = None
        self.old_tables = {}
        self.new_maps = []          # (time, {device: {page: address}})
        self.marker_pages = 0

        # from the trace
        self.records = []

    # -- while the machine runs ------------------------------------------------

    def on_line(self, now, line):
        if "Linux version" in line:
            self.boots += 1
            if self.boots == 2 and self.crash_range:
                # the crashed kernel stands still now, its tables are final
                self.times["boot"] = now
                self._read_old_tables()
            return None
        match = re.search(r"crashkernel reserved: 0x(\w+) - 0x(\w+)", line)
        if match and not self.crash_range:
            self.crash_range = (int(match[1], 16), int(match[2], 16))
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
        elif subject == "group" and role == "crash" and rest[1] != "absent":
            self.groups[rest[0]] = (rest[1], rest[2:])
        elif subject == "state" and rest[0].isdigit():
            self.states.append((now, rest[0], rest[1]))
        elif subject == "mapping":
            mapping = (int(rest[0], 16), int(rest[1]))
            if mapping not in self.mappings:
                self.mappings.append(mapping)
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
            self.times["panic"] = time.time()
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
            if self.scenario.markers_to_the_end or not self.new_maps:
                self.marker_pages = self._marker_pages()
            self._read_new_tables()
        else:
            self.scenario.on_request(request, self.wires)
        return "done"

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
        reader = self._tables(lambda root: self.in_old_memory(root.address))
        if reader:
            self.old_map = reader.mappings()
            self.old_tables = reader.tables

    def _read_new_tables(self):
        reader = self._tables(lambda root: True)
        if reader:
            self.new_maps.append((time.time(), reader.mappings()))

    def _tables(self, wanted):
        roots = [root for root in trace.roots(self.machine.trace_path, self.iommu)
                 if wanted(root)]
        try:
            return tables.open_tables(self.iommu, self.machine.memory, roots)
        except tables.UnknownFormat:
            return None

    # -- afterwards --------------------------------------------------------------

    @property
    def panic(self):
        return self.times["panic"]

    @property
    def end(self):
        return self.times["end"]

    def in_crash_memory(self, address):
        return self.crash_range[0] <= address < self.crash_range[1]

    def in_old_memory(self, address):
        return (address < machine.MEMORY_MIB << 20 and
                not self.in_crash_memory(address))

    def old_pages(self):
        """IOVA pages the crashed kernel had mapped for the scenario's devices."""
        pages = set()
        for device in self.scenario.devices:
            pages |= self.old_map.get(device, {}).keys()
        return pages

    def guest_pages(self):
        """IOVA pages of the mappings that the crash kernel's driver told of."""
        pages = set()
        for iova, size in self.mappings:
            pages |= set(range(iova >> 12, (iova + size + 4095) >> 12))
        return pages

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
        self.records = trace.read(self.machine.trace_path, self.iommu)
        after = [record for record in self.records
                 if self.panic <= record.time <= self.end]
        self.provoked = [record for stray in self.strays
                         if stray[0] == "released"
                         for kind, record in self.stray_records(stray)
                         if kind == "fault"]
        provoked = {id(record) for record in self.provoked}
        if self.old_map is None:
            # tables not readable: what was seen in use has to do
            self.old_map = {}
            for record in self.records:
                if isinstance(record, trace.Access) and record.time < self.panic:
                    self.old_map.setdefault(record.device, {})[
                        record.iova >> 12] = record.address & ~4095

        resets = {}
        attach = None
        self.old_hits, self.crash_hits, self.faults = [], [], []
        self.translation_off = 0
        shared = set()
        released = min((when for when, group, state in self.states
                        if state == "released" and
                        group in self._scenario_groups()), default=float("inf"))
        for record in after:
            if isinstance(record, trace.Fault):
                if id(record) not in provoked:
                    self.faults.append(record.time)
            elif isinstance(record, trace.Switch):
                self.translation_off += not record.on
            elif isinstance(record, trace.Reset):
                if record.time > self.times["userspace"]:
                    resets.setdefault(record.model, record.time)
            elif isinstance(record, trace.Attach):
                if (attach is None and record.device in self.scenario.devices and
                        record.time > self.times["userspace"]):
                    attach = record.time
            elif isinstance(record, trace.Access):
                if record.device not in self.scenario.devices:
                    continue
                if self.in_old_memory(record.address):
                    self.old_hits.append(record.time)
                elif self.in_crash_memory(record.address):
                    page = record.iova >> 12
                    if page not in self.old_map.get(record.device, {}):
                        continue
                    if record.time < released:
                        shared.add((record.device, page))
                    model = self.scenario.devices[record.device]
                    if record.time < resets.get(model, float("inf")):
                        self.crash_hits.append(record.time)

        for when, new_map in self.new_maps:
            if when >= released:
                continue
            for device in self.scenario.devices:
                old = self.old_map.get(device, {})
                for page, address in new_map.get(device, {}).items():
                    if page in old and self.in_crash_memory(address):
                        shared.add((device, page))
        self.shared_iova_pages = len(shared)
        self.last_old_hit = self.old_hits[-1] if self.old_hits else None
        self.window = None
        reset = min((time for model, time in resets.items()
                     if model in self.scenario.devices.values()), default=None)
        if reset is not None and attach is not None and attach <= reset:
            self.window = (attach, reset)

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

    def reasons(self):
        """Why the run fails; nothing if it passes."""
        scenario = self.scenario
        reasons = list(self.errors)
        if scenario.needs_legacy_dma and not self.old_hits:
            reasons.append("no legacy DMA was seen, so nothing was tested")
        if self.faults:
            reasons.append(f"{len(self.faults)} DMA faults")
        if self.crash_hits:
            reasons.append(f"{len(self.crash_hits)} legacy accesses reached "
                           f"crash-kernel memory")
        if self.marker_pages:
            reasons.append(f"{self.marker_pages} pages of crash-kernel memory "
                           f"overwritten")
        if self.shared_iova_pages and not getattr(scenario, "sharing_allowed",
                                                  False):
            reasons.append(f"{self.shared_iova_pages} IOVA pages in use by both "
                           f"kernels")
        if self.translation_off:
            reasons.append(f"translation switched off {self.translation_off} "
                           f"times")
        if not self.vmcore:
            reasons.append("/proc/vmcore was not readable to its end")
        changed = sum(1 for address, data in self.old_tables.items()
                      if self.machine.memory[address:address + 4096] != data)
        if changed:
            reasons.append(f"{changed} table pages of the crashed kernel changed")
        if self.framework:
            if not self.groups:
                reasons.append("no kdump_state in any IOMMU group: not a kernel "
                               "with the framework")
            for group in self._scenario_groups():
                if self.groups[group][0] in ("none", "blocked"):
                    reasons.append(f"group {group} ended {self.groups[group][0]}")
        return reasons + scenario.judge(self)

    def result(self, qemu_version, seconds):
        reasons = self.reasons()
        window = self.window and round((self.window[1] - self.window[0]) * 1e3, 2)
        values = (self.scenario.name, self.iommu, scenarios.IOMMUS[self.iommu][0],
                  self.kernel_name, qemu_version, len(self.old_hits),
                  len(self.faults), len(self.crash_hits), self.marker_pages,
                  self.shared_iova_pages, self.translation_off, window,
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
            "end": round(self.end - self.panic, 3),
            "boot": round(self.times["boot"] - self.panic, 3),
            "old": since(self.old_hits),
            "faults": since(self.faults),
            "crash": since(self.crash_hits),
            "provoked": since([record.time for record in self.provoked]),
            "window": self.window and since(self.window),
            "events": [(round(when - self.panic, 3), text)
                       for when, text in self.events],
            "states": [(round(when - self.panic, 3), state)
                       for when, group, state in self.states if group in mine],
        }


def _failure(run, qemu_version, seconds, reason):
    """The result object of a run that did not get to its end."""
    result = dict.fromkeys(KEYS)
    result.update(scenario=run.scenario.name, iommu=run.iommu,
                  mode=scenarios.IOMMUS[run.iommu][0], kernel=run.kernel_name,
                  qemu=qemu_version, groups={}, vmcore=False,
                  seconds=round(seconds, 1), verdict="fail", reason=reason)
    return result


def run_once(scenario, kernel_name, image, initrd, iommu, qemu, accel, folder):
    """Returns {"result": ...} with "series", or {"lost": reason}."""
    began = time.monotonic()
    run = Run(scenario, kernel_name, iommu, folder)
    qemu_version = machine.version(qemu)
    _mode, iommu_devices, words = scenarios.IOMMUS[iommu]
    crash_options = list(words) + list(scenario.crash_options)
    cmdline = " ".join([
        "console=ttyS0,115200 printk.devkmsg=on panic=-1 crashkernel=256M",
        # an emulated timer on a busy host may miss what that check expects
        "no_timer_check",
        *words, "rig.role=first", f"rig.scenario={scenario.name}",
        f"rig.token={run.token}", "rig.crash=" + ";".join(crash_options)])
    outcome = {}
    try:
        run.machine = machine.Machine(folder, qemu, accel, iommu)
        for name in scenario.wires:
            run.wires[name] = Wire(run.token)
        run.machine.fds = [wire.qemus.fileno() for wire in run.wires.values()]
        command = run.machine.command(
            image, initrd, cmdline,
            iommu_devices + scenario.qemu_devices(run.wires))
        run.machine.run(command, run.on_line, scenario.timeout)
        missing = [name for name in ("panic", "boot", "userspace", "end")
                   if name not in run.times]
        if missing or not run.crash_range:
            last = run.errors[-1] if run.errors else run.machine.console[-1][1]
            raise machine.Broken(f"the run ended before \"{missing[0]}\": {last}"
                                 if missing else "no crash kernel memory")
        run.evaluate()
        outcome["result"] = run.result(qemu_version, time.monotonic() - began)
        outcome["series"] = run.series()
    except machine.Lost as lost:
        outcome["lost"] = str(lost)
    except machine.Broken as broken:
        outcome["broken"] = True
        outcome["result"] = _failure(run, qemu_version,
                                     time.monotonic() - began, str(broken))
    finally:
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
