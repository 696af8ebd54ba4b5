# SPDX-License-Identifier: GPL-2.0
"""What each scenario needs and what, beyond the common criteria, it must show.

The guest's half of a scenario is guest/scenarios/<name>.sh.
"""

from . import trace

MEBIBYTE = 1 << 20


class Scenario:
    """The defaults; a scenario overrides what differs."""

    name = None
    summary = None
    # Slots of the devices whose DMA is in flight, as requester IDs, and the model
    # whose reset by the crash kernel's driver ends it (None: nothing ends it).
    devices = {}
    wires = ()                  # network cards, by name
    # Senders (of traffic.Wire) whose frames must never be in the crash kernel's
    # memory: what they send is for the crashed kernel.
    writes_markers = ()
    # Whether that holds to the end; if not, only until the script asks for a scan.
    markers_to_the_end = True
    framework_only = False      # no meaning on an unmodified kernel
    # Figures of which at least one is not 0 on the unmodified kernel, in some runs
    # at least: what shows that the scenario would see a failure.
    control_shows = ()
    needs_legacy_dma = True
    crash_options = ()          # for the crash kernel's command line
    demo_runs = 1
    check_runs = 1
    timeout = 120

    def qemu_devices(self, wires):
        """QEMU arguments; wires maps a card's name to its file descriptor."""
        raise NotImplementedError

    def on_request(self, request, wires):
        """The guest asks for something (ask_host), beyond the common requests."""
        raise KeyError(request)

    def judge(self, run):
        """Reasons to fail beyond the common ones."""
        return []


def _card(model, name, fd, place):
    return ["-netdev", f"dgram,id={name},local.type=fd,local.str={fd}",
            "-device", f"{model},netdev={name},{place}"]


class Sound(Scenario):
    def qemu_devices(self, wires):
        return ["-audiodev", "none,id=silence",
                "-device", "intel-hda,id=sound,addr=5",
                "-device", "hda-duplex,bus=sound.0,audiodev=silence"]


class Hda(Sound):
    name = "hda"
    summary = "intel-hda streams; its driver maps before it resets"
    devices = {trace.requester("00:05.0"): "hda"}
    control_shows = ("faults", "crash_hits")
    demo_runs = 10
    check_runs = 3


class Driverless(Sound):
    name = "driverless"
    summary = "intel-hda streams; no driver in the crash kernel"
    devices = {trace.requester("00:05.0"): None}

    def judge(self, run):
        reasons = []
        last = run.last_old_hit
        if last is None or run.end - last > 0.5:
            reasons.append("the stream had stopped before power-off")
        if run.framework and run.state_of_device("0000:00:05.0") != "inherited":
            reasons.append("the group is not inherited any more")
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

    def qemu_devices(self, wires):
        return ["-device", "pcie-pci-bridge,id=bridge,bus=pcie.0,addr=4",
                *_card("e1000", "a", wires["a"].qemus.fileno(),
                       "bus=bridge,addr=1"),
                *_card("e1000", "b", wires["b"].qemus.fileno(),
                       "bus=bridge,addr=2")]

    def on_request(self, request, wires):
        # Card B's ring of 256 descriptors is never refilled after the panic:
        # a faster flood would fill it before the crash kernel has a driver.
        if request == "flood-b":
            wires["b"].flood("B", 16)
        elif request == "traffic-a":
            wires["a"].flood("A", 10)
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
    # the card's queue may hand old frames to the new driver, and rightly so
    markers_to_the_end = False

    def qemu_devices(self, wires):
        return _card("e1000e", "card", wires["card"].qemus.fileno(), "addr=3")

    def on_request(self, request, wires):
        if request == "flood-old":
            wires["card"].flood("O", 25)
        elif request == "traffic-new":
            wires["card"].flood("N", 25)
        else:
            raise KeyError(request)

    def judge(self, run):
        if not run.frames.get("N"):
            return ["the card does not work in the crash kernel"]
        if run.frames.get("?"):
            return [f"the card received {run.frames['?']} damaged frames"]
        return []


class Edu(Scenario):
    """QEMU's edu device, with our driver for it in both kernels."""

    devices = {trace.requester("00:06.0"): None}
    crash_options = ("iommu.kdump_grace=2",)

    def qemu_devices(self, wires):
        return ["-device", "edu,addr=6,dma_mask=0xffffffff"]


class Release(Edu):
    name = "release"
    summary = "a stray access through an old IOVA, before and after the release"
    control_shows = ("crash_hits",)

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
    framework_only = True       # without old IOVAs kept there is no pressure
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


ALL = {cls.name: cls for cls in (Hda, Bridge, E1000e, Driverless, Release,
                                 Pressure)}

IOMMUS = {
    # name: (mode, QEMU arguments, words for both kernels)
    "vtd": ("legacy", ["-device", "intel-iommu,intremap=on"],
            ["intel_iommu=on"]),
    "amdvi": ("v1", ["-device", "amd-iommu"], ["amd_iommu=on"]),
}
