# SPDX-License-Identifier: GPL-2.0
"""Crash kernels with little memory, and how much mapped memory they carry over.

The guest's half is guest/scenarios/small.sh.
"""

import re

from . import machine, report, tables, trace
from .scenarios import Scenario, sound

PAGE = 4096
LEAF_TABLE = 512 * PAGE         # what one page table of the lowest level maps
SOUND = trace.requester("00:05.0")

# What is mapped: pages, bytes from one to the next, and how many are neighbours in
# memory, if any. For the devices of "many" as many page tables as pages, so that the host
# has little to read; the first is what 128M carry, the second more than that. For "runs"
# what the memory of the virtual machine has page tables for.
SPARSE = ((64, LEAF_TABLE), (256, LEAF_TABLE))
RUNS = (64 << 30 >> 12, PAGE, 4 << 20 >> 12)
# The reservations whose limit is looked for, and how close to it.
SIZES = (96, 128, 256)
CLOSE = 16                      # a sixteenth of the first guess


class Small(Scenario):
    script = "small"
    arms = ("mainline", "framework")
    control_shows = ("shared_iova_pages",)
    crash_options = ("iommu.kdump_grace=never",)
    timeout = 600
    judging = 300
    NAMES = ()                  # the edu devices, as Linux calls them

    @property
    def crashkernel(self):
        return f"{self.extras['crashkernel']}M"

    @property
    def first_options(self):
        return ("rig.fill=" + ";".join(map(str, self.extras["fill"])),)

    @property
    def start_afresh(self):
        # to be blocked is what is looked for
        return self.NAMES

    @property
    def devices(self):
        return {SOUND: None, **dict.fromkeys(
            trace.requester(name.split(":", 1)[1]) for name in self.NAMES)}

    def qemu_devices(self, wires, folder):
        return ["-audiodev", "none,id=silence", *sound(0, "addr=5"),
                *self.edu_devices()]

    def edu_devices(self):
        raise NotImplementedError

    def judge(self, run):
        states = [run.state_of_device(name) for name in self.NAMES]
        pages = {len(run.old_map.get(device, tables.NOTHING)) for device in self.devices
                 if device != SOUND} if run.old_map else set()
        self.findings = {
            "crashkernel": self.extras["crashkernel"], "fill": self.extras["fill"],
            "devices": len(self.NAMES), "carried": states.count("carrying"),
            "blocked": states.count("blocked"),
            "tables_kib": self._tables_kib(run), "memory": run.memory}
        reasons = []
        if run.framework:
            odd = [state for state in states if state not in ("carrying", "blocked")]
            if odd:
                reasons.append(f"a group ended {odd[0]}")
            if "blocked" in states and not run.crash_log(
                    "page tables do not fit into memory|out of memory"):
                reasons.append("the log does not say why a group is blocked")
            if run.state_of_device("0000:00:05.0") != "inherited":
                reasons.append("the sound controller's group is not inherited any more")
        if not pages or min(pages) < self.extras["fill"][0]:
            reasons.append("the devices did not have mapped what they should have")
        if run.last_old_hit is None or run.down - run.last_old_hit > 0.5:
            reasons.append("the sound stream had stopped before power-off")
        if run.crash_log(r"[Oo]ut of memory: Killed|invoked oom-killer"):
            reasons.append("a process was killed for memory")
        bad = [text for text in run.loopbacks if text != "good"]
        if bad or len(run.loopbacks) != len(self.NAMES):
            reasons.append(f"{len(run.loopbacks)} of {len(self.NAMES)} devices worked in "
                           f"the crash kernel, {len(bad)} of them badly")
        return reasons

    @staticmethod
    def _tables_kib(run):
        """Memory of the crash kernel that the old mappings take."""
        total = 0
        for when, line in run.machine.console:
            match = re.search(r"rig\[crash\]: table:\s+\d+\s+\w+\s+\w+((?:\s+\d+){10})",
                              line)
            if match and when >= run.times["boot"]:
                total += int(match[1].split()[4])
        return total


class SmallMany(Small):
    name = "small-many"
    summary = "64 devices in groups of their own, a crash kernel of 128M"
    NUMBER = 64
    NAMES = tuple(f"0000:{bus:02x}:00.0" for bus in range(1, NUMBER + 1))

    def why_not(self, variant, qemu):
        if variant.iommu == "amdvi" and machine.major(qemu) < 11:
            return machine.NeedsQemu11("AMD-Vi devices behind a bridge need QEMU 11")
        return super().why_not(variant, qemu)

    def edu_devices(self):
        words = []
        for number in range(self.NUMBER):
            # root ports have ACS, so that functions of one device are groups as well
            words += ["-device", f"pcie-root-port,id=port{number},bus=pcie.0,"
                                 f"addr={8 + number // 8:x}.{number % 8},"
                                 f"multifunction=on,chassis={1 + number}",
                      "-device", f"edu,bus=port{number},dma_mask=0xffffffff"]
        return words


class SmallFill(Small):
    name = "small-fill"
    summary = "one device with much memory mapped: carried, or blocked"
    NAMES = ("0000:00:06.0",)

    def edu_devices(self):
        return ["-device", "edu,addr=6,dma_mask=0xffffffff"]


class SmallRuns(SmallFill):
    name = "small-runs"
    summary = "one device with very much memory mapped, in runs: carried in large pages"
    timeout = 900


ALL = {cls.name: cls for cls in (SmallMany, SmallFill, SmallRuns)}
# (scenario, crashkernel=, what is mapped, is all of it carried?)
CASES = (("small-many", 128, SPARSE[0], True), ("small-many", 128, SPARSE[1], False),
         ("small-runs", 256, RUNS, True))


def first_guess(size):
    """MiB: an eighth of the reservation as page tables, of pages of 4 KiB each."""
    return size // 8 * 512


def fill_settings(size, mebibytes):
    return {"crashkernel": size, "fill": (mebibytes * 256, PAGE)}


class Search:
    """Bisection for the largest amount, in MiB, that is carried over."""

    def __init__(self, size):
        self.size = size
        self.step = max(16, first_guess(size) // CLOSE)
        self.carried = 0
        self.blocked = None
        self.next = first_guess(size) * 3 // 4

    def found(self, carried):
        if carried:
            self.carried = max(self.carried, self.next)
        else:
            self.blocked = min(self.blocked or self.next, self.next)
        if self.blocked is None:
            self.next = self.carried + 4 * self.step
        else:
            self.next = (self.carried + self.blocked) // 2 // 16 * 16

    @property
    def done(self):
        return self.blocked is not None and (
            self.blocked - self.carried <= self.step or self.next == self.carried)

    def __str__(self):
        return (f"crashkernel={self.size}M: {self.carried} MiB in pages of 4 KiB are "
                f"carried over, {self.blocked} MiB are blocked")


def table(outcomes):
    rows = [["scenario", "IOMMU", "kernel", "crashkernel", "devices", "mapped MiB",
             "in tables of", "carried", "blocked", "new tables KiB", "total KiB",
             "free before", "free after", "old hits", "faults", "crash hits",
             "shared IOVA", "vmcore", "verdict"]]
    for outcome in outcomes:
        result = outcome["result"]
        found = outcome.get("findings") or {}
        pages, stride = found.get("fill", (0, PAGE))[:2]
        number = found.get("devices", 0)
        memory = found.get("memory", {})
        before = memory.get("before", ("-", "-"))
        after = memory.get("after", ("-", "-"))
        old_tables = number * pages * stride // LEAF_TABLE * 4
        rows.append([
            outcome["scenario"], f"{result['iommu']}/{result['mode']}",
            outcome["kernel"], f"{found.get('crashkernel', '-')}M", str(number),
            str(number * pages // 256), f"{old_tables} KiB", str(found.get("carried", "-")),
            str(found.get("blocked", "-")), str(found.get("tables_kib", "-")),
            str(before[0]), str(before[1]), str(after[1]), str(result["old_hits"]),
            str(result["faults"]), str(result["crash_hits"]),
            str(result["shared_iova_pages"]), "yes" if result["vmcore"] else "no",
            result["verdict"]])
    return report.plain_table(rows, left=3)
