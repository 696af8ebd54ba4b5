# SPDX-License-Identifier: GPL-2.0
"""What each scenario needs and what, beyond the common criteria, it must show.

The guest's half of a scenario is guest/scenarios/<name>.sh.
"""

import re
import struct
import time

from . import firmware, machine, tables, trace
from .arch import x86

MEBIBYTE = 1 << 20

# Kernels under test: without the framework, with it, and with it but told to
# block what the crashed kernel had mapped (iommu.kdump=block).
ARMS = ("mainline", "framework", "block")


# Kernels that look for their own defects, see Kernel.checks_itself, are so much slower.
CHECKING_SLOWER = 8


class Scenario:
    """The defaults; a scenario overrides what differs."""

    name = None
    summary = None
    # Slots of the devices whose DMA is in flight, as requester IDs, and the model
    # whose reset by the crash kernel's driver ends it (None: nothing ends it).
    devices = {}
    driver_built_in = False     # it comes before userspace
    wires = ()                  # network cards, by name
    # Senders (of traffic.Wire) whose frames must never be in the crash kernel's
    # memory: what they send is for the crashed kernel.
    writes_markers = ()
    # Whether that holds to the end; if not, only until the script asks for a scan.
    markers_to_the_end = True
    arms = ARMS                 # those it has a meaning on
    mixed = False               # run it where the two kernels' modes differ, too
    in_each_mode = False        # check runs it in every mode, not the default only
    check_modes = ()            # in these as well
    # Where the hardware makes no difference: one of those of x86, for check
    check_on = None
    check_blocked = False       # check runs it on the arm block
    check_control = True        # check runs its control; compare always does
    only_default = False        # in one mode of each IOMMU: it takes long
    stock = False               # a distribution's kernel can be the one that crashes
    sharing_allowed = False     # IOVA pages used by both kernels are no failure
    # Figures of which at least one is not 0 on the unmodified kernel, in some runs
    # at least: what shows that the scenario would see a failure.
    control_shows = ()
    needs_legacy_dma = True
    memory_mib = machine.MEMORY_MIB
    crashkernel = "256M"        # the reservation, in the first kernel's words
    first_options = ()          # more of them
    crash_options = ()          # for the crash kernel's command line
    iommu_properties = ""       # for QEMU's IOMMU
    script = None               # guest/scenarios/<script>.sh, if it is not the name's
    blocks = False              # it makes the framework block, and that may fault
    start_afresh = ()           # devices whose groups need not have carried anything
    way_out = False             # the IOMMU is off in the crash kernel
    own_criteria = False        # only judge() counts
    # After the panic the host forges tables (after_panic); judge() then decides which
    # accesses to the crash kernel's memory are a failure.
    forges_when_dead = False
    overwrites_tables = False   # a device writes to the tables of the crashed kernel
    variant = None              # set when it is run
    extras = {}                 # set then: what this subcommand has for its scenarios
    findings = None             # set by judge(): more than the common figures
    compare_runs = 1
    checked = True              # check runs it: once, compare and soak do more
    checks_vmcore_itself = False    # the guest does not run vmcore_check
    cpu = ""                    # more of QEMU's processor
    more_events = ()            # of QEMU's trace
    reboots = False             # the machine boots a third time
    root = None                 # its root file system, if it has no initramfs
    timeout = 120
    judging = 60                # seconds for judge(), at most

    def applies(self, variant, arm):
        if self.way_out or variant.crash == "off":
            return self.way_out and variant.crash == "off" and arm in self.arms
        if self.only_default and not variant.is_default:
            return False
        return arm in self.arms and (self.mixed or not variant.mixed)

    def why_not(self, variant, qemu):
        """Why it cannot be run with this IOMMU, mode and QEMU; None if it can."""
        why = variant.arch.why_not(self.name, variant)
        if why:
            return why
        if self.memory_mib > machine.LOW_MIB:
            if machine.major(qemu) < 11:
                return machine.NeedsQemu11("more memory than 2 GiB needs QEMU 11")
            if machine.available_mib() < self.memory_mib * 5 // 4:
                return (f"this host has no {self.memory_mib >> 10} GiB of memory to "
                        f"spare")
        return variant.qemu_devices(qemu, self.iommu_properties)[1]

    def qemu_devices(self, wires, folder):
        """QEMU arguments. wires: the cards' cables by name; folder: of the run."""
        raise NotImplementedError

    def on_request(self, request, run):
        """The guest asks for something (ask_host), beyond the common requests."""
        raise KeyError(request)

    def on_console(self, now, line, run):
        """Each line of the console, before the common code sees it."""

    def before_panic(self, run):
        """The kernel that crashes is about to, and waits."""

    def after_panic(self, run, reader):
        """The kernel is dead and the machine stands still; reader has its tables."""

    def on_new_tables(self, run, reader):
        """The crash kernel's tables have been read: while it runs, and at its end."""

    def control_figures(self, variant):
        """Figures of which at least one shows the damage on the unmodified kernel."""
        if variant.control_shows is None:
            return variant.arch.CONTROLS.get(self.name, self.control_shows)
        return variant.control_shows

    @property
    def slower(self):
        """How many times as long the kernel may take for anything."""
        return CHECKING_SLOWER if self.extras.get("checks_itself") else 1

    def steps(self, run):
        """{(step, device): state}: what the guest's note command has to tell."""
        return {}

    def judge(self, run):
        """Reasons to fail beyond the common ones."""
        return []


def _card(model, name, fd, place):
    return ["-netdev", f"dgram,id={name},local.type=fd,local.str={fd}",
            "-device", f"{model},netdev={name},{place}"]


class Sound(Scenario):
    def qemu_devices(self, wires, folder):
        return ["-audiodev", "none,id=silence",
                "-device", "intel-hda,id=sound,addr=5",
                "-device", "hda-duplex,bus=sound.0,audiodev=silence"]


class Hda(Sound):
    name = "hda"
    stock = True
    summary = "intel-hda streams; its driver maps before it resets"
    devices = {trace.requester("00:05.0"): "hda"}
    mixed = True
    in_each_mode = True
    check_blocked = True
    control_shows = ("faults", "crash_hits")
    compare_runs = 10


class Driverless(Sound):
    name = "driverless"
    stock = True
    summary = "intel-hda streams; no driver in the crash kernel"
    devices = {trace.requester("00:05.0"): None}
    # what is blocked and has no driver shows nothing but faults
    arms = ("mainline", "framework")

    def judge(self, run):
        reasons = []
        last = run.last_old_hit
        if last is None or run.down - last > 0.5:
            reasons.append("the stream had stopped before power-off")
        if run.framework and run.state_of_device("0000:00:05.0") != "inherited":
            reasons.append("the group is not inherited any more")
        return reasons


class Larger(Driverless):
    """The largest, which kernels with the fix of CVE-2026-99591 always have."""

    name = "larger"
    stock = False
    summary = "a device table of 2 MiB, and the crash kernel's own has another size"
    check_control = False
    script = "resized"
    control_shows = ("faults", "translation_off")
    PAGES = 512

    @property
    def first_options(self):
        return (f"rig.pages={self.PAGES}",)

    def why_not(self, variant, qemu):
        if variant.iommu == "vtd":
            return "the root table of VT-d has one size"
        return super().why_not(variant, qemu)

    def judge(self, run):
        reasons = super().judge(run)
        if run.old_root & 0x1ff != self.PAGES - 1:
            reasons.append("the device table has not got another size")
        return reasons


class Smaller(Larger):
    """Too small for some devices of the root bus as well, but not for the stream."""

    name = "smaller"
    summary = "a device table of 4 KiB, and the crash kernel's own is larger"
    checked = False             # one size is enough
    PAGES = 1


class Reboot(Scenario):
    name = "reboot"
    check_on = "amdvi"
    stock = True
    summary = "two controllers stream, no driver; the crash kernel reboots by itself"
    devices = dict.fromkeys(map(trace.requester, ("00:05.0", "01:00.0")))
    arms = ("mainline", "framework")    # see Driverless
    control_shows = ("off_at_end",)
    PLACES = ("addr=5", "bus=port0")

    def why_not(self, variant, qemu):
        if variant.iommu == "amdvi" and machine.major(qemu) < 11:
            return machine.NeedsQemu11("AMD-Vi devices behind a bridge need QEMU 11")
        return super().why_not(variant, qemu)

    def qemu_devices(self, wires, folder):
        words = ["-audiodev", "none,id=silence",
                 "-device", "pcie-root-port,id=port0,bus=pcie.0,addr=8,chassis=1"]
        for number, place in enumerate(self.PLACES):
            words += sound(number, place)
        return words

    def judge(self, run):
        reasons = []
        if "down" not in run.times:
            reasons.append("the crash kernel has not rebooted by itself")
        for device in self.devices:
            if run.down - run.last_old_hits.get(device, 0) > 0.5:
                reasons.append(f"the stream of {trace.requester_name(device)} had "
                               f"stopped before the reboot")
        return reasons


class Msis(Scenario):
    name = "msis"
    stock = True
    summary = "MSIs of devices without a driver that never end"
    checked = False             # without a control it shows little
    devices = dict.fromkeys(map(trace.requester, (
        "00:03.0", "00:04.0", "00:05.0", "00:06.0")))
    arms = ("mainline", "framework")
    more_events = ("*_ir_remap_msi_req",)
    COMPLAINT = r"No irq handler|nobody cared|spurious|INTR-REMAP|Disabling IRQ"
    LINES = 30
    EACH = 25                   # MSIs of each device in a second, at least

    def why_not(self, variant, qemu):
        if variant.mode == "v1-no-intremap":
            return "interrupts that are not remapped leave no trace"
        return super().why_not(variant, qemu)

    def qemu_devices(self, wires, folder):
        words = ["-audiodev", "none,id=silence"]
        for number in range(4):
            words += sound(number, f"addr={3 + number}")
        return words

    def judge(self, run):
        reasons = []
        msis = sum(1 for record in run.records if isinstance(record, trace.Msi) and
                   run.times["boot"] < record.time <= run.down)
        least = self.EACH * len(self.devices) * (run.down - run.times["boot"])
        if msis < least:
            reasons.append(f"only {msis} MSIs in the crash kernel, not {least:.0f}")
        lines = run.crash_log(self.COMPLAINT)
        if lines > self.LINES:
            reasons.append(f"{lines} lines about interrupts in the log")
        for device in self.devices:
            if run.down - run.last_old_hits.get(device, 0) > 0.5:
                reasons.append(f"the stream of {trace.requester_name(device)} had "
                               f"stopped before power-off")
        return reasons


class Storm(Sound):
    name = "storm"
    stock = True
    summary = "intel-hda faults for ever, nobody stops it: the log survives"
    devices = {trace.requester("00:05.0"): None}
    arms = ("mainline", "block")        # the framework alone lets nothing fault
    mixed = True
    check_blocked = True
    FAULTS = 100000
    LINES = 50
    PATIENCE = 50               # seconds; the guest waits for an answer for 60

    def on_request(self, request, run):
        if request != "storm":
            raise KeyError(request)
        deadline = time.monotonic() + self.PATIENCE
        while time.monotonic() < deadline and \
                trace.faults_so_far(run.machine.trace_path,
                                    run.iommu) < self.FAULTS:
            time.sleep(0.5)

    def applies(self, variant, arm):
        # the unmodified kernel needs a reason to block what goes on
        if arm == "mainline":
            return variant.first == "off"
        return super().applies(variant, arm) and not variant.mixed

    def judge(self, run):
        reasons = []
        if run.fault_count < self.FAULTS:
            reasons.append(f"only {run.fault_count} faults: no storm")
        if run.log_lines >= self.LINES:
            reasons.append(f"{run.log_lines} lines about faults in the log")
        return reasons


class Bridge(Scenario):
    name = "bridge"
    stock = True
    summary = "two NICs, one requester ID; only one is driven after the crash"
    devices = {trace.requester("01:00.0"): None}
    wires = ("a", "b")
    writes_markers = ("B",)
    control_shows = ("marker_pages",)
    compare_runs = 10

    def why_not(self, variant, qemu):
        if variant.scalable:
            return ("in scalable mode Linux makes no context entry for the requester "
                    "ID of a PCIe-to-PCI bridge: the devices behind it fault in the "
                    "first kernel already")
        if variant.iommu == "amdvi" and machine.major(qemu) < 11:
            return machine.NeedsQemu11("AMD-Vi devices behind a bridge need QEMU 11")
        return super().why_not(variant, qemu)

    def qemu_devices(self, wires, folder):
        return ["-device", "pcie-pci-bridge,id=bridge,bus=pcie.0,addr=4",
                *_card("e1000", "a", wires["a"].qemus.fileno(),
                       "bus=bridge,addr=1"),
                *_card("e1000", "b", wires["b"].qemus.fileno(),
                       "bus=bridge,addr=2")]

    def on_request(self, request, run):
        # Card B's ring of 256 descriptors is never refilled after the panic:
        # a faster flood would fill it before the crash kernel has a driver.
        if request == "flood-b":
            run.wires["b"].flood("B", 16)
        elif request == "traffic-a":
            run.wires["a"].flood("A", 10)
        else:
            raise KeyError(request)

    def judge(self, run):
        reasons = []
        if run.frames.get("B"):
            reasons.append(f"card A received {run.frames['B']} frames of card B")
        if run.frames.get("?"):
            reasons.append(f"card A received {run.frames['?']} damaged frames")
        if not run.frames.get("A"):
            reasons.append("card A does not work in the crash kernel")
        return reasons


class Functions(Bridge):
    """The same where each device has an ID of its own."""

    name = "functions"
    summary = "two NICs, one group, an ID for each; only one is driven after the crash"
    devices = {trace.requester("00:03.1"): None}
    compare_runs = 1

    def applies(self, variant, arm):
        """Instead of the bridge only: x86 gives the other one nothing new."""
        return bool(variant.arch.why_not(Bridge.name, variant)) and \
            super().applies(variant, arm)

    def why_not(self, variant, qemu):
        return Scenario.why_not(self, variant, qemu)

    def qemu_devices(self, wires, folder):
        return [*_card("e1000", "a", wires["a"].qemus.fileno(),
                       "addr=3.0,multifunction=on"),
                *_card("e1000", "b", wires["b"].qemus.fileno(),
                       "addr=3.1,multifunction=on")]


class E1000e(Scenario):
    name = "e1000e"
    check_on = "vtd"
    stock = True
    summary = "one NIC under load, in a group of its own"
    devices = {trace.requester("00:03.0"): "e1000e"}
    wires = ("card",)
    writes_markers = ("O",)
    mixed = True
    # the card's queue may hand old frames to the new driver, and rightly so
    markers_to_the_end = False

    def qemu_devices(self, wires, folder):
        return _card("e1000e", "card", wires["card"].qemus.fileno(), "addr=3")

    def on_request(self, request, run):
        if request == "flood-old":
            run.wires["card"].flood("O", 25)
        elif request == "traffic-new":
            run.wires["card"].flood("N", 25)
        else:
            raise KeyError(request)

    def judge(self, run):
        if not run.frames.get("N"):
            return ["the card does not work in the crash kernel"]
        if run.frames.get("?"):
            return [f"the card received {run.frames['?']} damaged frames"]
        return []


class Quiet(Scenario):
    name = "quiet"
    check_on = "amdvi"
    summary = "NICs whose bus mastering is off, with frames that wait for a driver"
    DRIVEN, UNSTOPPED = map(trace.requester, ("00:03.0", "00:04.0"))
    devices = {DRIVEN: None, UNSTOPPED: None}
    wires = ("driven", "unstopped")
    writes_markers = ("O",)
    markers_to_the_end = False          # see E1000e
    control_shows = ("crash_hits",)
    arms = ("mainline", "framework")    # who blocks has no use for what waits

    def qemu_devices(self, wires, folder):
        return [*_card("e1000", "driven", wires["driven"].qemus.fileno(), "addr=3"),
                *_card("e1000", "unstopped", wires["unstopped"].qemus.fileno(),
                       "addr=4")]

    def on_request(self, request, run):
        if request == "flood-old":
            for wire in run.wires.values():
                wire.flood("O", 25)
        elif request == "traffic-new":
            run.wires["driven"].flood("N", 25)
        else:
            raise KeyError(request)

    def steps(self, run):
        return {("boot", "0000:00:03.0"): "inherited",
                ("boot", "0000:00:04.0"): "inherited",
                ("driven", "0000:00:03.0"): "carrying",
                ("driven", "0000:00:04.0"): "carrying"}

    def judge(self, run):
        reasons = E1000e.judge(self, run)
        if any(run.times["boot"] < when < run.times["userspace"]
               for when in run.old_hits):
            reasons.append("there was DMA before a driver came: bus mastering was on")
        if run.framework and run.last_old_hits.get(self.UNSTOPPED, 0) < \
                run.times["userspace"]:
            reasons.append("no frame has waited for a driver: nothing was tested")
        return reasons


class Disk(Scenario):
    name = "disk"
    check_on = "vtd"
    stock = True
    summary = "the dump is written to a disk, and is what was in memory"
    driver_built_in = True
    mixed = True
    needs_legacy_dma = False    # a disk that nobody asks for anything is silent
    timeout = 180               # a disk whose DMA is dead takes its time to fail
    SIZE = 64 * MEBIBYTE
    SAVED = 16 * MEBIBYTE       # as much as guest/scenarios/disk.sh saves

    @property
    def devices(self):
        return {trace.requester(self.variant.arch.DISK_PLACE): "ahci"}

    @staticmethod
    def _image(folder):
        return folder / "disk"

    def qemu_devices(self, wires, folder):
        with open(self._image(folder), "wb") as image:
            image.truncate(self.SIZE)
        # unsafe: no waiting for the host's disk, which nobody reads afterwards
        return ["-drive", "if=none,id=disk,format=raw,cache=unsafe,"
                f"file={self._image(folder)}",
                *self.variant.arch.DISK_CONTROLLER,
                "-device", f"ide-hd,drive=disk,bus={self.variant.arch.DISK_BUS}"]

    def judge(self, run):
        try:
            same, different = self._compare(run)
        except (struct.error, ValueError):
            return ["what is on the disk is no dump"]
        finally:
            self._image(run.folder).unlink(missing_ok=True)
        if different:
            return [f"{different} of {same + different} pages on the disk are not "
                    f"what was in memory"]
        if same < self.SAVED // 4096 // 2:
            return [f"only {same} pages of memory are on the disk"]
        return []

    def _compare(self, run):
        """Pages of the dump on the disk that are, and are not, as in memory."""
        with open(self._image(run.folder), "rb") as image:
            dump = image.read(self.SAVED)
        if dump[:4] != b"\x7fELF":
            raise ValueError("no ELF file")
        table, = struct.unpack_from("<Q", dump, 32)
        size, count = struct.unpack_from("<HH", dump, 54)
        same = different = 0
        for number in range(count):
            kind, _flags, offset, _virtual, address, length = struct.unpack_from(
                "<IIQQQQ", dump, table + number * size)
            if kind != 1:               # PT_LOAD
                continue
            for at in range(0, min(length, len(dump) - offset) - 4095, 4096):
                equal = (dump[offset + at:offset + at + 4096] ==
                         run.machine.memory[address + at:address + at + 4096])
                same += equal
                different += not equal
        return same, different


class Edu(Scenario):
    """QEMU's edu device, with our driver for it in both kernels."""

    devices = {trace.requester("00:06.0"): None}

    @property
    def crash_options(self):
        return (f"iommu.kdump_grace={2 * self.slower}",)

    def qemu_devices(self, wires, folder):
        return ["-device", "edu,addr=6,dma_mask=0xffffffff"]


class Release(Edu):
    name = "release"
    check_on = "vtd"
    summary = "a stray access through an old IOVA, before and after the release"
    control_shows = ("crash_hits",)
    arms = ("mainline", "framework")    # nothing that is blocked is released

    def judge(self, run):
        reasons = []
        if not run.stray_count("carried", "old"):
            reasons.append("before the release the stray access missed old memory")
        if not run.stray_count("released", "fault"):
            reasons.append("after the release the stray access was no fault")
        if run.stray_count("released", "old") or run.stray_count("released",
                                                                 "crash"):
            reasons.append("after the release the stray access reached memory")
        if "released" not in run.states_of_device("0000:00:06.0"):
            reasons.append("the group was never released")
        reused = run.guest_pages() & run.old_pages()
        if reused:
            reasons.append(f"{len(reused)} old IOVA pages were handed out again")
        if run.refused:
            reasons.append(f"{run.refused} mappings failed")
        return reasons


class Pressure(Edu):
    name = "pressure"
    check_on = "amdvi"
    summary = "24-bit IOVA space, three quarters of it old: old ones go last"
    arms = ("framework",)       # without old IOVAs kept there is no pressure
    needs_legacy_dma = False
    crash_options = ("iommu.kdump_grace=never",)
    sharing_allowed = True      # but not too early, see judge()
    SPACE = 16 * MEBIBYTE

    def judge(self, run):
        if run.refused:
            return [f"{run.refused} mappings failed"]
        old = run.old_pages()
        if len(old) * 4096 < 12 * MEBIBYTE:
            return [f"only {len(old)} old IOVA pages: nothing was under pressure"]
        reused = [index for index, (iova, size) in enumerate(run.mappings)
                  if old & _pages(iova, size)]
        if not reused:
            return ["no old IOVA was needed: nothing was under pressure"]
        # When the first old address went out, was there still room elsewhere?
        taken = old | run.reserved
        for iova, size in run.mappings[:reused[0]]:
            taken |= _pages(iova, size)
        iova, size = run.mappings[reused[0]]
        # page 0 is never handed out
        for start in range(size, self.SPACE, size):
            if not taken & _pages(start, size):
                return [f"old IOVA {iova:#x} was handed out as mapping "
                        f"{reused[0]} although {start:#x} was free"]
        return []


class Cma(Edu):
    name = "cma"
    check_on = "vtd"
    summary = "a page that the crash kernel had lent to the one that crashes (,cma)"
    arms = ("mainline", "framework")
    control_shows = ("crash_hits",)
    needs_legacy_dma = False    # one access, when the script asks for it
    crashkernel = "192M crashkernel=64M,cma"
    crash_options = ("iommu.kdump_grace=never",)

    def _lent_pages(self, run):
        """IOVA pages that the crashed kernel had mapped to memory lent to it."""
        found = run.old_map.get(trace.requester("00:06.0"), tables.NOTHING)
        return {page for page in found.pages()
                if any(start <= found.find(page) < end for start, end in run.lent)}

    def on_new_tables(self, run, reader):
        new = run.new_maps[-1][1].get(trace.requester("00:06.0"), tables.NOTHING)
        kept = [page for page in self._lent_pages(run) if page in new]
        if run.inherits and kept:
            run.errors.append("a mapping to memory that was lent is carried over")

    def judge(self, run):
        reasons = []
        if not run.lent:
            reasons.append("no memory was lent: nothing was tested")
        if len(self._lent_pages(run)) != 1:
            reasons.append("the crashed kernel had no page of the memory that was lent "
                           "mapped: nothing was tested")
        # the reservation without what was lent would be less
        if run.memory.get("crash", (0, 0))[0] < 192 << 10:
            reasons.append("the crash kernel does not use the memory that was lent")
        if run.framework:
            if not run.stray_count("released", "fault"):
                reasons.append("the access to memory that was lent was no fault")
            if not run.crash_log(r"1 outside of the crashed kernel's memory"):
                reasons.append("the log does not count the mapping that was left out")
        return reasons


class High(Hda):
    name = "high"
    stock = False
    summary = "6 GiB, and a crash kernel that has nothing below 4 GiB"
    only_default = True
    script = "hda"
    mixed = False
    in_each_mode = False
    check_blocked = False
    arms = ("mainline", "framework")
    control_shows = ("faults", "crash_hits", "shared_iova_pages")
    memory_mib = 6144
    crashkernel = "320M,high crashkernel=0,low"
    timeout = 300
    compare_runs = 1
    checked = False             # half a minute, and as much memory as it says

    @property
    def overwrites_tables(self):
        return self.variant.iommu == "amdvi"

    def judge(self, run):
        reasons = []
        if run.crash_range[0] < 4 << 30:
            reasons.append("the crash kernel has memory below 4 GiB")
        if self.overwrites_tables and run.framework:
            reasons += in_place(run)
        return reasons


def in_place(run):
    """Reasons to fail where AMD's device table cannot be replaced.

    Its register takes an address in two halves: a table on the other side of 4 GiB cannot
    take the place of the old one, which is then written.
    """
    reasons = []
    pages = (run.old_root & 0x1ff) + 1
    if run.changed > pages:
        reasons.append(f"{run.changed} table pages of the crashed kernel changed, and the "
                       f"device table has {pages}")
    if not run.crash_log(r"device table at .* cannot be replaced: memory of the crashed"):
        reasons.append("the log does not say that the old device table is written")
    return reasons


class Stuck(Larger):
    name = "stuck"
    summary = "a device table of another size that cannot be replaced: 2 MiB, low"
    only_default = True
    checked = False             # see High
    memory_mib = 3072
    crashkernel = "320M,high crashkernel=0,low"
    overwrites_tables = True
    timeout = 300

    @property
    def first_options(self):
        return (*super().first_options, "rig.low=1")

    def judge(self, run):
        return super().judge(run) + (in_place(run) if run.framework else [])


class Wide(Scenario):
    name = "wide"
    summary = "64 functions, iommu=pt, windows up to 2^46: the boot takes no longer"
    only_default = True
    checked = False             # see High
    # functions of one slot are one group
    SINGLE, FULL = range(2, 0x12), range(0x19, 0x1f)
    PLACES = [(slot, 0) for slot in SINGLE]
    PLACES += [(slot, function) for slot in FULL for function in range(8)]
    devices = {slot << 3 | function: None for slot, function in PLACES}
    arms = ("mainline", "framework")
    needs_legacy_dma = False    # what is not translated leaves no trace
    first_options = ("iommu=pt",)
    crash_options = ("iommu=pt",)
    cpu = ",phys-bits=46"
    memory_mib = 3072           # where all memory is below 4 GiB, so are the windows
    # from the first line to the first process, emulated; half a second for each group
    # would be ten times as much
    SECONDS = 10
    REACH = 1 << 45

    def __init__(self):
        self.reach = 0

    def qemu_devices(self, wires, folder):
        words = [word for slot, function in self.PLACES for word in (
            "-device", f"edu,addr={slot:x}.{function},dma_mask=0xffffffff"
                       f"{',multifunction=on' if slot in self.FULL else ''}")]
        # the firmware puts registers that may be anywhere below 2^44, and the window ends
        # that much higher
        words += ["-global", "q35-pcihost.pci-hole64-size=48T"]
        if self.variant.mode != "v1":           # which has it already
            words += x86.SOUTHBRIDGE
        return words

    def on_console(self, now, line, run):
        match = re.search(r"rig\[crash\]: reach +([0-9a-f]+)", line)
        if match:
            self.reach = int(match[1], 16)

    def judge(self, run):
        seconds = run.times["userspace"] - run.times["boot"]
        self.findings = {"seconds": round(seconds, 2), "memory": run.memory}
        reasons = []
        if seconds > self.SECONDS * self.slower:
            reasons.append(f"{seconds:.1f} seconds to the first process")
        if self.reach < self.REACH:
            reasons.append(f"no window beyond {self.reach:#x}: nothing was tested")
        groups = len(self.SINGLE) + len(self.FULL)
        if run.loopbacks != ["good"] * groups:
            reasons.append(f"{run.loopbacks.count('good')} of {groups} devices work in "
                           f"the crash kernel")
        return reasons


class Narrow(Edu):
    name = "narrow"
    summary = "a device that reaches no further than memory finds room, and works"
    arms = ("mainline", "framework")    # who blocks does not know what was in use
    crash_options = ()
    mixed = True
    # where old mappings are not where the crash kernel makes its own
    check_modes = ("scalable", "legacy>scalable", "pt>translated", "translated>pt")
    needs_legacy_dma = False
    REACH = 0x1fffffff

    def why_not(self, variant, qemu):
        if variant.arch.RAM > self.REACH and variant.first in ("off", "passthrough"):
            return "the device reaches no memory of the kernel that crashes"
        return super().why_not(variant, qemu)

    def control_figures(self, variant):
        # a device that is silent loses nothing, unless it is never attached
        return variant.control_shows if variant.control_shows == ("faults",) and \
            variant.first != "off" and not variant.scalable else ()

    def qemu_devices(self, wires, folder):
        return ["-device", f"edu,addr=6,dma_mask={self.REACH:#x}"]

    def judge(self, run):
        reasons = [f"data sent through the device: {text}"
                   for text in run.loopbacks or ["nothing"] if text != "good"]
        if run.refused or not run.mappings:
            reasons.append(f"{run.refused} mappings failed")
        reused = run.guest_pages() & run.old_pages()
        if run.inherits and reused:
            reasons.append(f"{len(reused)} old IOVA pages were handed out again")
        return reasons


class Words(Edu):
    name = "words"
    check_on = "amdvi"
    summary = "words of the command line that nobody knows: a warning, the default"
    arms = ("framework",)
    needs_legacy_dma = False
    crash_options = ("iommu.kdump=perhaps", "iommu.kdump_grace=soon")
    WARNINGS = (r"iommu\.kdump=perhaps is unknown.*going on with inherit",
                r"iommu\.kdump_grace=soon is unknown.*going on with 60 seconds")

    def steps(self, run):
        return {("boot", "0000:00:06.0"): "inherited",
                ("driven", "0000:00:06.0"): "carrying",
                ("end", "0000:00:06.0"): "carrying"}

    def judge(self, run):
        return [f"no line \"{text}\" in the log" for text in self.WARNINGS
                if not run.crash_log(text)]


class WayOut(Disk):
    name = "wayout"
    check_on = None
    summary = "IOMMU off by the crash kernel's command line: a warning, and a dump"
    arms = ("mainline", "framework")
    script = "disk"
    way_out = True
    own_criteria = True
    mixed = True
    in_each_mode = True         # there is one mode in which it has a meaning
    WARNING = (r"Off in a crash kernel, as the command line asks for|"
               r"kdump: switched off on the command line")

    def judge(self, run):
        reasons = super().judge(run)
        if run.any_group:
            reasons.append("there are IOMMU groups: it is not off")
        if not run.vmcore:
            reasons.append("/proc/vmcore was not readable to its end")
        if run.framework and not run.crash_log(self.WARNING):
            reasons.append("no warning in the log")
        return reasons


class Ids(Driverless):
    """Mainline reserves the wrong domain IDs in scalable mode."""

    name = "ids"
    summary = "domain IDs of the crashed kernel are not handed out again"
    script = "driverless"
    in_each_mode = True

    def control_figures(self, variant):
        return ("shared_ids",) if variant.scalable else ()

    def judge(self, run):
        if not run.ids_of_old_kernel:
            return ["no domain ID of the crashed kernel is left: nothing was tested"]
        return []


class Ats(Scenario):
    name = "ats"
    summary = "a NIC that caches translations (ATS), told to forget them"
    devices = {trace.requester("01:00.0"): "virtio"}
    driver_built_in = True
    wires = ("card",)
    writes_markers = ("O",)
    markers_to_the_end = False
    iommu_properties = ",device-iotlb=on"
    crash_options = ("iommu.kdump_grace=6",)
    control_shows = ("shared_iova_pages",)
    arms = ("mainline", "framework")
    mixed = True
    # there the new entry is set before ATS is
    check_modes = ("scalable-pt>scalable",)

    def why_not(self, variant, qemu):
        if variant.iommu == "amdvi":
            return "no QEMU emulates ATS with AMD-Vi"
        return super().why_not(variant, qemu)

    def control_figures(self, variant):
        # without translation before no IOVA can be shared, and this card is quiet
        return () if variant.mixed else super().control_figures(variant)

    def qemu_devices(self, wires, folder):
        # on the root bus it would be no PCIe device, and have no ATS
        return ["-device", "pcie-root-port,id=port0,bus=pcie.0,addr=7,chassis=1",
                *_card("virtio-net-pci", "card", wires["card"].qemus.fileno(),
                       "bus=port0,disable-legacy=on,iommu_platform=on,ats=on")]

    on_request = E1000e.on_request

    def judge(self, run):
        reasons = E1000e.judge(self, run)
        flushes = [record.time for record in run.records
                   if isinstance(record, trace.DeviceFlush) and
                   record.device in self.devices and
                   record.time > run.times["boot"]]
        # without translation there is nothing that a device could cache
        if run.variant.first != "off" and not any(
                when < run.times["userspace"] for when in flushes):
            reasons.append("the device was not told to forget when it was attached")
        if run.inherits:
            released = [when for when, group, state in run.states
                        if state == "released" and
                        group == run.group_of_device("0000:01:00.0")]
            if not released:
                reasons.append("the group was never released")
            elif not any(-1 < (when - released[0]) / self.slower < 0.2 for when in flushes):
                reasons.append("the device was not told to forget at the release")
        return reasons


def sound(number, place):
    """QEMU arguments of a sound controller; the audio device is "silence"."""
    return ["-device", f"intel-hda,id=sound{number},{place}",
            "-device", f"hda-duplex,bus=sound{number}.0,audiodev=silence"]


class Streams(Scenario):
    """Sound from many controllers: none of them stops by itself."""

    PLACES = ()                 # QEMU's words for where they are
    # {(step, device): state} in the arm framework
    STEPS = {}
    # a reset in QEMU's trace does not say whose: each is legacy to the end

    def why_not(self, variant, qemu):
        if variant.iommu == "amdvi" and machine.major(qemu) < 11:
            return machine.NeedsQemu11("AMD-Vi devices behind a bridge need QEMU 11")
        return super().why_not(variant, qemu)

    def qemu_devices(self, wires, folder):
        words = ["-audiodev", "none,id=silence"]
        for number, place in enumerate(self.PLACES):
            words += sound(number, place)
        return words

    def steps(self, run):
        if run.kernel_name != "block":
            return self.STEPS
        return {step: state if state == "gone" else "blocked"
                for step, state in self.STEPS.items()}


class Groups(Streams):
    name = "groups"
    summary = "drivers for all, some, none of a group; late, failing, unbound again"
    devices = dict.fromkeys(map(trace.requester, (
        "00:05.0", "00:06.0", "00:06.1", "00:07.0", "00:08.0", "01:00.0")))
    crash_options = ("iommu.kdump_grace=3",)
    control_shows = ("faults", "crash_hits")
    arms = ("mainline", "framework")    # so many storms are more than QEMU can do
    PLACES = ("addr=5", "addr=6.0,multifunction=on", "addr=6.1", "addr=7", "addr=8")
    ALIASED = ("bus=bridge,addr=1", "bus=bridge,addr=2")
    STEPS = {
        ("boot", "0000:00:05.0"): "inherited",
        ("boot", "0000:00:06.0"): "inherited",
        ("boot", "0000:00:07.0"): "inherited",
        ("boot", "0000:00:08.0"): "inherited",
        ("some", "0000:00:06.0"): "carrying",
        ("failed", "0000:00:08.0"): "carrying",
        ("bound", "0000:00:07.0"): "carrying",
        # a driver that lets go has stopped its device
        ("unbound", "0000:00:07.0"): "released",
        # a function of the same group has no driver
        ("grace", "0000:00:06.0"): "carrying",
        ("grace", "0000:00:08.0"): "carrying",
        ("grace", "0000:00:05.0"): "inherited",
        ("late", "0000:00:05.0"): "carrying",
        ("end", "0000:00:05.0"): "released",
        ("end", "0000:00:08.0"): "released",
        ("end", "0000:00:06.0"): "carrying",
    }
    ALIASED_STEPS = {
        ("boot", "0000:01:01.0"): "inherited",
        ("half", "0000:01:01.0"): "carrying",
        ("all", "0000:01:01.0"): "carrying",
        ("grace", "0000:01:01.0"): "released",
    }

    @property
    def _has_aliases(self):
        """See Bridge.why_not()."""
        return not self.variant.scalable and \
            not self.variant.arch.why_not(Bridge.name, self.variant)

    def qemu_devices(self, wires, folder):
        words = super().qemu_devices(wires, folder)
        if not self._has_aliases:
            return words
        words += ["-device", "pcie-pci-bridge,id=bridge,bus=pcie.0,addr=4"]
        for number, place in enumerate(self.ALIASED, len(self.PLACES)):
            words += sound(number, place)
        return words

    def steps(self, run):
        steps = super().steps(run)
        if self._has_aliases:
            steps = steps | {step: state if run.inherits else "blocked"
                             for step, state in self.ALIASED_STEPS.items()}
        return steps


class Hotplug(Streams):
    name = "hotplug"
    summary = "reset before and during probe, removed and found, unplugged, replaced"
    devices = dict.fromkeys(map(trace.requester, (
        "00:05.0", "00:06.0", "02:00.0", "03:00.0"))) | {
            trace.requester("01:00.0"): "unplugged"}
    crash_options = ("iommu.kdump_grace=never",)
    control_shows = ("faults", "crash_hits")
    arms = ("mainline", "framework")    # see Groups
    start_afresh = ("0000:00:05.0", "0000:01:00.0")
    PLACES = ("bus=port0", "bus=port1", "bus=port2", "addr=5", "addr=6")
    STEPS = {
        ("boot", "0000:01:00.0"): "inherited",
        ("boot", "0000:02:00.0"): "inherited",
        ("boot", "0000:03:00.0"): "inherited",
        ("boot", "0000:00:05.0"): "inherited",
        ("boot", "0000:00:06.0"): "inherited",
        ("driven", "0000:00:06.0"): "carrying",
        ("reset", "0000:02:00.0"): "released",
        ("driven", "0000:02:00.0"): "released",
        ("driven", "0000:03:00.0"): "released",
        ("removed", "0000:00:05.0"): "gone",
        # it goes on where it was, but its entry blocks since it has been removed
        ("back", "0000:00:05.0"): "none",
        ("removed", "0000:01:00.0"): "gone",
        ("back", "0000:01:00.0"): "none",
        ("end", "0000:00:06.0"): "carrying",
        ("end", "0000:02:00.0"): "released",
        ("end", "0000:03:00.0"): "released",
    }

    def qemu_devices(self, wires, folder):
        words = []
        for number in range(3):
            words += ["-device", f"pcie-root-port,id=port{number},bus=pcie.0,"
                                 f"addr={8 + number},chassis={1 + number}"]
        return words + super().qemu_devices(wires, folder)

    def on_request(self, request, run):
        if request == "unplug":
            run.machine.monitor.command("device_del", id="sound0")
        elif request == "plug":
            run.machine.monitor.wait_until_gone("sound0")
            run.gone["unplugged"] = time.time()
            run.machine.monitor.command("device_add", driver="edu", id="new",
                                        bus="port0", dma_mask=0xffffffff)
        else:
            raise KeyError(request)

    def judge(self, run):
        return [f"data sent through the device plugged in: {text}"
                for text in run.loopbacks or ["nothing"] if text != "good"]


class Removed(Streams):
    name = "removed"
    check_on = "amdvi"
    stock = True
    summary = "removed before its driver: one function of two, a port; found again"
    check_control = False
    devices = dict.fromkeys(map(trace.requester, ("00:06.0", "00:06.1", "01:00.0"))) | {
        trace.requester("00:05.0"): "carried"}
    crash_options = ("iommu.kdump_grace=2",)
    control_shows = ("faults", "crash_hits")
    arms = ("mainline", "framework")    # see Groups
    start_afresh = ("0000:00:05.0", "0000:01:00.0")
    PLACES = ("addr=5", "addr=6.0,multifunction=on", "addr=6.1", "bus=port0")
    SIBLING = trace.requester("00:06.1")
    STEPS = {
        ("boot", "0000:00:05.0"): "inherited",
        ("boot", "0000:00:06.0"): "inherited",
        ("boot", "0000:00:06.1"): "inherited",
        ("boot", "0000:01:00.0"): "inherited",
        ("removed", "0000:00:06.0"): "gone",
        # the other function keeps the group, and its old mappings
        ("back", "0000:00:06.0"): "inherited",
        ("later", "0000:00:06.1"): "carrying",
        ("end", "0000:00:06.1"): "carrying",
        ("removed", "0000:01:00.0"): "gone",
        ("back", "0000:01:00.0"): "none",       # see Hotplug
        ("removed", "0000:00:05.0"): "gone",
        ("driven", "0000:00:05.0"): "carrying",
        ("back", "0000:00:05.0"): "none",
    }

    def qemu_devices(self, wires, folder):
        return ["-device", "pcie-root-port,id=port0,bus=pcie.0,addr=8,chassis=1",
                *super().qemu_devices(wires, folder)]

    def on_request(self, request, run):
        if request != "stopped":
            raise KeyError(request)
        run.gone["carried"] = time.time()       # its driver has stopped it, and let go

    def judge(self, run):
        if run.down - run.last_old_hits.get(self.SIBLING, 0) > 0.5:
            return ["the stream of the function that was left alone had stopped"]
        return []


class Slow(Streams):
    name = "slow"
    check_on = "vtd"
    summary = "a probe that takes long, a reset that only the driver knows of"
    check_control = False
    SLOW, DRIVEN, SIBLING = map(trace.requester, ("00:05.0", "00:06.0", "00:06.1"))
    devices = dict.fromkeys((SLOW, DRIVEN, SIBLING))
    crash_options = ("iommu.kdump_grace=1",)
    control_shows = ("faults", "crash_hits")
    arms = ("mainline", "framework")    # see Groups
    PLACES = ("addr=5", "addr=6.0,multifunction=on", "addr=6.1")
    STEPS = {
        ("boot", "0000:00:05.0"): "inherited",
        ("boot", "0000:00:06.0"): "inherited",
        # a probe that has not ended has no grace period
        ("waiting", "0000:00:05.0"): "carrying",
        ("probed", "0000:00:05.0"): "carrying",
        ("driven", "0000:00:06.0"): "carrying",
        ("end", "0000:00:05.0"): "released",
        ("end", "0000:00:06.1"): "carrying",
    }

    def __init__(self):
        self.reset_soon = 0

    def on_request(self, request, run):
        if request != "reset-soon":
            raise KeyError(request)
        self.reset_soon = time.time()

    def judge(self, run):
        last = run.last_old_hits
        reasons = []
        if last.get(self.SLOW, 0) < self.reset_soon:
            reasons.append("the stream had stopped before its driver reset the device")
        for device in self.SLOW, self.DRIVEN:
            if run.framework and run.end - last.get(device, 0) < 0.5:
                reasons.append(f"{trace.requester_name(device)} has not been reset")
        if run.down - last.get(self.SIBLING, 0) > 0.5:
            reasons.append("the stream of the other function had stopped")
        return reasons


class Vfio(Streams):
    name = "vfio"
    check_on = "amdvi"
    summary = "an owner in userspace (VFIO) takes a device and gives it back"
    devices = dict.fromkeys(map(trace.requester, ("00:05.0", "00:06.0", "00:07.0")))
    crash_options = ("iommu.kdump_grace=never",)
    control_shows = ("faults", "crash_hits", "shared_iova_pages")
    PLACES = ("addr=5", "addr=6", "addr=7")
    OWNERS_PAGE = 0x100         # what guest/vfio_owner.c maps
    STEPS = {
        ("boot", "0000:00:05.0"): "inherited",
        ("boot", "0000:00:06.0"): "inherited",
        ("boot", "0000:00:07.0"): "inherited",
        ("bound", "0000:00:05.0"): "inherited",
        ("owned", "0000:00:05.0"): "released",
        ("returned", "0000:00:05.0"): "released",
        ("driven", "0000:00:05.0"): "released",
        ("driven", "0000:00:06.0"): "inherited",
        ("driven", "0000:00:07.0"): "carrying",
    }

    def why_not(self, variant, qemu):
        if variant.mode == "v1-no-intremap":
            return "VFIO refuses devices whose interrupts are not remapped"
        return Scenario.why_not(self, variant, qemu)

    def on_request(self, request, run):
        if request not in ("owned", "returned"):
            raise KeyError(request)
        reader = run.tables_now()
        device = trace.requester("00:05.0")
        found = reader.mappings().get(device, tables.NOTHING)
        if request == "owned" and list(found.pages()) != [self.OWNERS_PAGE]:
            run.errors.append("the owner's page is not all that is mapped")
        if request == "returned" and len(found):
            run.errors.append("something is mapped after the owner has gone")


# -- tables that the host forges, just before the panic ----------------------------

class Roots(Streams):
    name = "roots"
    summary = "one group, two page tables that agree: both are carried over"
    script = "roots"
    devices = dict.fromkeys(map(trace.requester, ("00:06.0", "00:06.1")))
    control_shows = ("faults", "crash_hits")
    arms = ("mainline", "framework")
    PLACES = ("addr=6.0,multifunction=on", "addr=6.1")
    STEPS = {("boot", "0000:00:06.0"): "inherited",
             ("driven", "0000:00:06.0"): "carrying"}
    ONE, TWO = map(trace.requester, ("00:06.0", "00:06.1"))
    SANDBOX = trace.requester("00:07.0")

    def __init__(self):
        self.page = None                # an IOVA page that only a forged table has
        self.target = None              # and where it leads

    def why_not(self, variant, qemu):
        return Scenario.why_not(self, variant, qemu)

    def qemu_devices(self, wires, folder):
        return ["-device", "edu,addr=7,dma_mask=0xffffffff",
                *super().qemu_devices(wires, folder)]

    def before_panic(self, run):
        reader = run.tables_now()
        maps = reader.mappings()
        free = []
        for iova, size in run.sandbox:
            for page in range(iova >> 12, iova + size >> 12):
                free.append(maps[self.SANDBOX].find(page))
        if None in free or len(free) < 16:
            raise machine.Broken("the host was given no memory for tables")
        self.forge(run, reader, maps, free)

    def forge(self, run, reader, maps, free):
        self._forge_mapping(run, reader, maps, self.TWO, free)

    def _forge_mapping(self, run, reader, maps, device, free):
        """A page of the sandbox at an IOVA that is not in use, for this device."""
        used = next(maps[device].pages())
        start = used & ~511
        self.page = next(page for page in range(start, start + 512)
                         if page not in maps[self.ONE])
        leaf = reader.copy_path(device, self.page, free)
        other, = struct.unpack_from("<Q", run.machine.memory,
                                    leaf + 8 * (used - self.page))
        self.target = free.pop()
        struct.pack_into("<Q", run.machine.memory, leaf,
                         reader.pointing(other, self.target))

    def on_new_tables(self, run, reader):
        # once a driver has come, both devices have the mappings of both
        maps = run.new_maps[-1][1]
        if run.inherits:
            for device in self.ONE, self.TWO:
                if maps.get(device, tables.NOTHING).find(self.page) != self.target:
                    run.errors.append(f"{trace.requester_name(device)} has lost the "
                                      f"mapping of one member's table")

    def judge(self, run):
        one, two = (run.old_map.get(device, tables.NOTHING)
                    for device in (self.ONE, self.TWO))
        if two.find(self.page) != self.target or self.page in one:
            return ["the host could not forge the tables: nothing was tested"]
        return []


class Contradiction(Roots):
    name = "contradiction"
    check_on = "vtd"
    summary = "one group, two page tables that contradict each other: blocked"
    arms = ("framework",)
    control_shows = ()
    blocks = True
    STEPS = {("boot", "0000:00:06.0"): "inherited",
             ("driven", "0000:00:06.0"): "blocked"}
    REASON = "mappings contradict each other"
    LINES = 50

    def forge(self, run, reader, maps, free):
        self._forge_mapping(run, reader, maps, self.ONE, free)
        self._forge_mapping(run, reader, maps, self.TWO, free)

    def on_new_tables(self, run, reader):
        maps = run.new_maps[-1][1]
        for device in self.ONE, self.TWO:
            if self.page in maps.get(device, tables.NOTHING):
                run.errors.append(f"{trace.requester_name(device)} still has a "
                                  f"mapping that is contradicted")

    def judge(self, run):
        reasons = []
        one, two = (run.old_map.get(device, tables.NOTHING).find(self.page)
                    for device in (self.ONE, self.TWO))
        if None in (one, two) or one == two:
            reasons.append("the host could not forge the tables: nothing was tested")
        return reasons + self._blocked(run)

    def _blocked(self, run):
        reasons = []
        if not run.crash_log(re.escape(self.REASON)):
            reasons.append(f"no line \"{self.REASON}\" in the log")
        if run.log_lines >= self.LINES:
            reasons.append(f"{run.log_lines} lines about faults in the log")
        return reasons


class Mixture(Contradiction):
    name = "mixture"
    check_on = "amdvi"
    summary = "one group, of which one device was not translated: blocked"
    # the other's accesses are not what its forged entry says, until that is read
    devices = {trace.requester("00:06.0"): None}
    STEPS = {("boot", "0000:00:06.0"): "blocked",
             ("driven", "0000:00:06.0"): "blocked"}
    REASON = "identity and paging in one group"

    def forge(self, run, reader, maps, free):
        reader.make_identity(self.TWO)

    def on_new_tables(self, run, reader):
        pass

    def judge(self, run):
        reasons = []
        # what is not translated, but for what is nobody's
        first = run.arch.NOBODYS[1]
        if run.old_map[self.TWO].find(first // tables.PAGE) != first:
            reasons.append("the host could not forge the entry: nothing was tested")
        return reasons + self._blocked(run)


class Ghost(Sound):
    name = "ghost"
    summary = "entries of devices that the crash kernel does not find"
    devices = {trace.requester("00:05.0"): None}
    script = "driverless"
    arms = ("mainline", "framework")
    control_shows = ("reason",)
    HDA = trace.requester("00:05.0")
    # both have an entry like the sound controller's; the second one's tables are
    # said to be in the crash kernel's memory
    LEFT_ALONE = trace.requester("00:06.0")
    REFUSED = trace.requester("00:07.0")

    def __init__(self):
        self.bad = None

    def before_panic(self, run):
        reader = run.tables_now()
        memory = run.machine.memory
        address, size = reader.place(self.HDA)
        entry = memory[address:address + size]
        address, size = reader.place_of_any(self.LEFT_ALONE)
        memory[address:address + size] = entry
        self.bad = run.crash_range[0] + (32 << 20)
        address, size = reader.place_of_any(self.REFUSED)
        memory[address:address + size] = reader.aimed(entry, self.bad)

    def on_new_tables(self, run, reader):
        maps = run.new_maps[-1][1]
        left = maps.get(self.LEFT_ALONE, tables.NOTHING)
        if not len(left) or left.runs != run.old_map[self.HDA].runs:
            run.errors.append("a device that is not there has lost its translation")
        address, _size = reader.place_of_any(self.REFUSED)
        if reader.target(address) == self.bad:
            run.errors.append("an entry leads into the crash kernel's memory")

    def judge(self, run):
        if self.LEFT_ALONE not in run.old_map:
            return ["the host could not forge the entries: nothing was tested"]
        if run.framework and not run.crash_log(r" 1 refused and blocked"):
            return ["the log does not count the refused entry"]
        return []


class Acpi(Sound):
    name = "acpi"
    summary = "the ACPI table that describes the IOMMU is damaged: a line that says so"
    check_control = False
    devices = {trace.requester("00:05.0"): None}
    arms = ("mainline", "framework")
    own_criteria = True
    forges_when_dead = True
    control_shows = ("reason",)
    LINE = r"kdump: .*(DMAR|IVRS)"

    def __init__(self):
        self.table = None

    def after_panic(self, run, reader):
        memory = run.machine.memory
        found = list(firmware.find(memory, firmware.SIGNATURE[run.iommu]))
        for at, _length in found:
            if run.iommu == "vtd":      # a structure of length 0: Linux ignores checksums
                first = at + firmware.HEADER
                memory[first + 2:first + 4] = bytes(2)
            else:                       # the checksum, by a byte of the OEM's name
                memory[at + 10] ^= 0xff
        self.table = found[0][0] if found else None

    def judge(self, run):
        reasons = []
        if self.table is None:
            reasons.append("the host has found no ACPI table: nothing was tested")
        if not run.vmcore:
            reasons.append("/proc/vmcore was not readable to its end")
        if run.translation_off or run.off_at_end:
            reasons.append("translation was switched off")
        # what the crash kernel's own drivers lose cannot be helped
        faults = sum(trace.count_of(record) for record in run.records
                     if isinstance(record, (trace.Fault, trace.Faults)) and
                     record.time >= run.panic and record.device in self.devices)
        if faults or run.crash_hits:
            reasons.append(f"{faults} faults of the stream, {len(run.crash_hits)} "
                           f"accesses to crash-kernel memory")
        if run.down - (run.last_old_hit or 0) > 0.5:
            reasons.append("the stream had stopped before power-off")
        if not run.crash_log(self.LINE):
            reasons.append("no line in the log says that the IOMMU goes on")
        return reasons


class Posted(Sound):
    name = "posted"
    summary = "an old interrupt entry that makes the IOMMU write to the crash kernel"
    devices = {trace.requester("00:05.0"): None}
    script = "driverless"
    arms = ("mainline", "framework")
    control_shows = ("reason",)
    INTERRUPT_TABLE = 0xfed900b8        # QEMU's register
    INDEX = 0x8000                      # Linux takes them from the low end
    PRESENT_AND_POSTED = 1 | 1 << 15
    VECTOR = 0x50

    def why_not(self, variant, qemu):
        if variant.iommu == "amdvi":
            return "no QEMU emulates interrupt entries in guest mode with AMD-Vi"
        return super().why_not(variant, qemu)

    def __init__(self):
        self.forged = False

    def _place(self, run):
        table = run.machine.monitor.read_register(self.INTERRUPT_TABLE)
        if self.INDEX >= 2 << (table & 15):
            raise machine.Broken("the interrupt remapping table is too small")
        return (table & tables.ADDRESS) + 16 * self.INDEX

    def before_panic(self, run):
        descriptor = run.crash_range[0] + (32 << 20)
        at = self._place(run)
        if any(run.machine.memory[at:at + 16]):
            raise machine.Broken("the interrupt remapping entry is in use")
        struct.pack_into("<QQ", run.machine.memory, at,
                         self.PRESENT_AND_POSTED | self.VECTOR << 16 |
                         (descriptor >> 6 & (1 << 26) - 1) << 38,
                         descriptor >> 32 << 32)
        self.forged = True

    def on_new_tables(self, run, reader):
        low, = struct.unpack_from("<Q", run.machine.memory, self._place(run))
        if low & self.PRESENT_AND_POSTED == self.PRESENT_AND_POSTED:
            run.errors.append("a posted interrupt writes to the crash kernel's memory")

    def judge(self, run):
        reasons = [] if self.forged else ["the host forged no entry"]
        if run.framework and not run.crash_log(
                r"\b1 posted interrupts of the previous kernel refused"):
            reasons.append("the log does not count the refused entry")
        return reasons


def _pages(iova, size):
    return set(range(iova >> 12, (iova + size + 4095) >> 12))


ALL = {cls.name: cls for cls in (
    Hda, Bridge, Functions, E1000e, Quiet, Disk, Driverless, Larger, Smaller, Reboot, Msis, Release,
    Pressure, Storm, Groups, Hotplug, Removed, Slow, Vfio, Roots, Contradiction, Mixture,
    Ghost, Acpi, Posted, Ats, Ids, Cma, High, Stuck, Wide, Narrow, Words, WayOut)}
