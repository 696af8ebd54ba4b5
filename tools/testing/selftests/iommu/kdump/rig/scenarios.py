# SPDX-License-Identifier: GPL-2.0
"""What each scenario needs and what, beyond the common criteria, it must show.

The guest's half of a scenario is guest/scenarios/<name>.sh.
"""

import struct

from . import machine, trace

MEBIBYTE = 1 << 20

# Kernels under test: without the framework, with it, and with it but told to
# block what the crashed kernel had mapped (iommu.kdump=block).
ARMS = ("mainline", "framework", "block")


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
    check_blocked = False       # check runs it on the arm block
    sharing_allowed = False     # IOVA pages used by both kernels are no failure
    # Figures of which at least one is not 0 on the unmodified kernel, in some runs
    # at least: what shows that the scenario would see a failure.
    control_shows = ()
    needs_legacy_dma = True
    crash_options = ()          # for the crash kernel's command line
    iommu_properties = ""       # for QEMU's IOMMU
    script = None               # guest/scenarios/<script>.sh, if it is not the name's
    blocks = False              # it makes the framework block, and that may fault
    start_afresh = ()           # devices whose groups need not have carried anything
    way_out = False             # the IOMMU is off in the crash kernel
    variant = None              # set when it is run
    demo_runs = 1
    check_runs = 1
    timeout = 120

    def applies(self, variant, arm):
        if self.way_out or variant.crash == "off":
            return self.way_out and variant.crash == "off" and arm in self.arms
        return arm in self.arms and (self.mixed or not variant.mixed)

    def why_not(self, variant, qemu):
        """Why it cannot be run with this IOMMU, mode and QEMU; None if it can."""
        return variant.qemu_devices(qemu, self.iommu_properties)[1]

    def qemu_devices(self, wires, folder):
        """QEMU arguments. wires: the cards' cables by name; folder: of the run."""
        raise NotImplementedError

    def on_request(self, request, run):
        """The guest asks for something (ask_host), beyond the common requests."""
        raise KeyError(request)

    def before_panic(self, run):
        """The kernel that crashes is about to, and waits."""

    def on_new_tables(self, run, reader):
        """The crash kernel's tables have been read: while it runs, and at its end."""

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
    summary = "intel-hda streams; its driver maps before it resets"
    devices = {trace.requester("00:05.0"): "hda"}
    mixed = True
    in_each_mode = True
    check_blocked = True
    control_shows = ("faults", "crash_hits")
    demo_runs = 10
    check_runs = 3


class Driverless(Sound):
    name = "driverless"
    summary = "intel-hda streams; no driver in the crash kernel"
    devices = {trace.requester("00:05.0"): None}
    # what is blocked and has no driver shows nothing but faults
    arms = ("mainline", "framework")

    def judge(self, run):
        reasons = []
        last = run.last_old_hit
        if last is None or run.end - last > 0.5:
            reasons.append("the stream had stopped before power-off")
        if run.framework and run.state_of_device("0000:00:05.0") != "inherited":
            reasons.append("the group is not inherited any more")
        return reasons


class Storm(Sound):
    name = "storm"
    summary = "intel-hda faults for ever, nobody stops it: the log survives"
    devices = {trace.requester("00:05.0"): None}
    arms = ("mainline", "block")        # the framework alone lets nothing fault
    mixed = True
    check_blocked = True
    FAULTS = 100000
    LINES = 50

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
    summary = "two NICs, one requester ID; only one is driven after the crash"
    devices = {trace.requester("01:00.0"): None}
    wires = ("a", "b")
    writes_markers = ("B",)
    control_shows = ("marker_pages",)
    demo_runs = 10
    check_runs = 3

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


class E1000e(Scenario):
    name = "e1000e"
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


class Disk(Scenario):
    name = "disk"
    summary = "the dump is written to a disk, and is what was in memory"
    devices = {trace.requester("00:1f.2"): "ahci"}
    driver_built_in = True
    mixed = True
    needs_legacy_dma = False    # a disk that nobody asks for anything is silent
    timeout = 180               # a disk whose DMA is dead takes its time to fail
    SIZE = 64 * MEBIBYTE
    SAVED = 16 * MEBIBYTE       # as much as guest/scenarios/disk.sh saves

    @staticmethod
    def _image(folder):
        return folder / "disk"

    def qemu_devices(self, wires, folder):
        with open(self._image(folder), "wb") as image:
            image.truncate(self.SIZE)
        return ["-drive", f"if=none,id=disk,format=raw,file={self._image(folder)}",
                "-device", "ide-hd,drive=disk,bus=ide.0"]

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
    crash_options = ("iommu.kdump_grace=2",)

    def qemu_devices(self, wires, folder):
        return ["-device", "edu,addr=6,dma_mask=0xffffffff"]


class Release(Edu):
    name = "release"
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


def _pages(iova, size):
    return set(range(iova >> 12, (iova + size + 4095) >> 12))


ALL = {cls.name: cls for cls in (Hda, Bridge, E1000e, Disk, Driverless, Release,
                                 Pressure, Storm)}
