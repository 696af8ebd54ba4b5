# SPDX-License-Identifier: GPL-2.0
"""QEMU's trace of what its IOMMU did, as a list of plain records.

The trace, not the log of the kernel under test, says what happened: the kernel
rate-limits its fault messages and knows nothing of accesses that succeed.
"""

import collections
import datetime
import os
import re

# time: seconds since the epoch, the clock that console lines are stamped with
Access = collections.namedtuple("Access", "time device iova address")
Fault = collections.namedtuple("Fault", "time device iova write reason")
# more faults of one device (None: the trace does not say whose) within a moment, when
# there are too many to keep each
Faults = collections.namedtuple("Faults", "time count device")
# AMD-Vi passed an address on as it was, or blocked the access: the trace has no
# word for the difference, but the device table has
Untranslated = collections.namedtuple("Untranslated", "time device iova")
Switch = collections.namedtuple("Switch", "time on")
Root = collections.namedtuple("Root", "time address scalable")
Attach = collections.namedtuple("Attach", "time device")
Reset = collections.namedtuple("Reset", "time model")
# the IOMMU forgets what it has cached for a domain ID, or all (None)
Flush = collections.namedtuple("Flush", "time domain")
# the IOMMU tells a device to forget translations that it has cached (ATS)
DeviceFlush = collections.namedtuple("DeviceFlush", "time device")
# a message signalled interrupt comes to the IOMMU
Msi = collections.namedtuple("Msi", "time")

_LINE = re.compile(r"(?:\d+@(\d+\.\d+):|(\d{4}-\d\d-\d\dT[\d:.]+)Z )(\w+) (.*)")
_NUMBER = re.compile(r"0x([0-9a-f]+)")
_DEVICE = re.compile(r"([0-9a-f]{2}):([0-9a-f]{2})\.([0-9a-f]{1,2})")


def requester(text):
    """The 16-bit requester ID of "bus:slot.function"."""
    bus, slot, function = (int(part, 16)
                           for part in _DEVICE.search(text).groups())
    return bus << 8 | slot << 3 | function


def requester_name(number):
    return f"{number >> 8:02x}:{number >> 3 & 31:02x}.{number & 7}"


def _numbers(text):
    return [int(digits, 16) for digits in _NUMBER.findall(text)]


def _vtd_translate(time, text):
    iova, address, mask = _numbers(text)
    return Access(time, requester(text), iova & ~mask, address)


def _vtd_fault(time, text):
    words = text.split()        # sid S fault N addr A write W
    return Fault(time, int(words[1], 16), int(words[5], 16),
                 words[7] == "1", int(words[3]))


def _vtd_suppressed_fault(time, _text):
    return Fault(time, None, None, None, None)


def _vtd_enable(time, text):
    return Switch(time, text.split()[-1] != "0")


def _vtd_root(time, text):
    words = text.split()        # addr A scalable S
    return Root(time, int(words[1], 16), words[-1] != "0")


def _vtd_context_flush(time, text):
    return Attach(time, _numbers(text)[0])


def _flush(time, text):
    return Flush(time, _numbers(text)[0])


def _flush_everything(time, _text):
    return Flush(time, None)


class _Amdvi:
    """One line says that a translation was found (or remembered), the next which."""

    def __init__(self):
        self.found = False
        self.on = False

    def translation_found(self, _time, _text):
        self.found = True

    def result(self, time, text):
        found, self.found = self.found, False
        iova, address = _numbers(text)
        device = requester(text)
        # of a huge page the address of its beginning is reported, which may be 0
        if not address and not found:
            return Fault(time, device, iova, None, None)
        if not found and address == iova & ~4095:
            return Untranslated(time, device, iova)
        return Access(time, device, iova, address)

    def control(self, time, text):
        # written often, mostly with the same value
        before, self.on = self.on, bool(_numbers(text)[0] & 1)
        return Switch(time, self.on) if self.on != before else None

    @staticmethod
    def entry_flush(time, text):
        return Attach(time, requester(text))


def _vtd_descriptor(time, text):
    if not text.startswith("invalidate desc type device"):
        return None
    _high, low = _numbers(text)
    return DeviceFlush(time, low >> 32 & 0xffff)


def _msi(time, _text):
    return Msi(time)


def _thinned_faults(time, text):
    count, device = text.split()
    return Faults(time, int(count), None if device == "?" else int(device, 16))


def _hda_stopped(time, text):
    return Reset(time, "hda") if text.rstrip().endswith("run 0") else None


def _e1000e_reset(time, _text):
    return Reset(time, "e1000e")


def _ahci_reset(time, _text):
    return Reset(time, "ahci")


def _nvme_stopped(time, _text):
    return Reset(time, "nvme")


def _virtio_status(time, text):
    return Reset(time, "virtio") if text.split()[-1] == "0" else None


_DEVICES = {
    "ahci_reset_port": _ahci_reset,
    "hda_audio_running": _hda_stopped,
    "pci_nvme_mmio_stopped": _nvme_stopped,
    "e1000e_core_ctrl_sw_reset": _e1000e_reset,
    "virtio_set_status": _virtio_status,
}

# Only for those who ask for them: see Scenario.more_events.
_MSIS = {
    "amdvi_ir_remap_msi_req": _msi,
    "vtd_ir_remap_msi_req": _msi,
}

_VTD = {
    "vtd_dmar_translate": _vtd_translate,
    "vtd_dmar_fault": _vtd_fault,
    "vtd_fault_disabled": _vtd_suppressed_fault,
    "vtd_dmar_enable": _vtd_enable,
    "vtd_reg_dmar_root": _vtd_root,
    "vtd_inv_desc_cc_devices": _vtd_context_flush,
    "vtd_inv_desc_iotlb_global": _flush_everything,
    "vtd_inv_desc_iotlb_domain": _flush,
    "vtd_inv_desc": _vtd_descriptor,
}


def _parsers(iommu):
    if iommu == "vtd":
        return {**_VTD, **_DEVICES}
    amdvi = _Amdvi()
    return {
        "amdvi_cache_update": amdvi.translation_found,
        "amdvi_iotlb_hit": amdvi.translation_found,
        "amdvi_translation_result": amdvi.result,
        "amdvi_control_status": amdvi.control,
        "amdvi_devtab_inval": amdvi.entry_flush,
        "amdvi_pages_inval": _flush,
        "amdvi_all_inval": _flush_everything,
        **_DEVICES,
    }


def events(iommu):
    """Names of QEMU's trace events that read() wants."""
    return list(_parsers(iommu))


def _time(match):
    if match[1]:
        return float(match[1])
    # the format since QEMU 10.1
    return datetime.datetime.fromisoformat(match[2] + "+00:00").timestamp()


def read(path, iommu):
    """All records of a trace file, in order."""
    parsers = {**_parsers(iommu), **_MSIS, _THINNED.decode(): _thinned_faults}
    records = []
    with open(path, encoding="ascii", errors="replace") as lines:
        for line in lines:
            match = _LINE.match(line)
            parser = match and parsers.get(match[3])
            record = parser and parser(_time(match), match[4])
            if record:
                records.append(record)
    return records


def roots(path):
    """VT-d's Root records only, quickly: for use while the machine runs."""
    name = b"vtd_reg_dmar_root"
    with open(path, "rb") as file:
        lines = [line for line in file if name in line]
    matches = [_LINE.match(line.decode("ascii", "replace")) for line in lines]
    return [_vtd_root(_time(match), match[4]) for match in matches if match]


def faults_so_far(path):
    """How many, quickly and roughly: for use while the machine runs."""
    faults = 0
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break           # it is being written
            if _THINNED in line:
                faults += int(line.split(_THINNED)[1].split()[0])
            elif _FAULT.search(line):
                faults += 1
    return faults


# -- while QEMU writes -----------------------------------------------------------

# So many faults are kept one by one. A storm has hundreds of thousands.
FAULTS_KEPT = 5000
BURST = 0.01                    # seconds of faults that become one line
_THINNED = b"rig_faults"
_FAULT = re.compile(rb"vtd_dmar_fault |vtd_fault_disabled |"
                    rb"amdvi_translation_result .* hpa 0x0\b")
_FAULT_SOURCE = re.compile(rb"vtd_dmar_fault sid 0x([0-9a-f]+) |"
                           rb"amdvi_translation_result .*?"
                           rb"([0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]{1,2})")
# what comes before that line when 0 is where the address really leads to
_NO_FAULT = re.compile(rb"amdvi_cache_update |amdvi_iotlb_hit ")


class _Thinner:
    """Lines in, lines out: faults beyond the first ones become counts."""

    def __init__(self):
        self.found = False
        self.kept = 0
        self.counts = {}        # faults of the burst, by device
        self.first = None       # what the first line of the burst begins with
        self.since = 0.0

    def lines(self, lines):
        for line in lines:
            found, self.found = self.found, bool(_NO_FAULT.search(line))
            if found or not _FAULT.search(line):
                yield from self.burst()
                yield line
                continue
            self.kept += 1
            if self.kept <= FAULTS_KEPT:
                yield line
                continue
            now = self._moment(line)
            if self.counts and not self.since <= now < self.since + BURST:
                yield from self.burst()
            if not self.counts:
                name = _FAULT.search(line).start()
                self.first, self.since = line[:name], now
            device = self._device(line)
            self.counts[device] = self.counts.get(device, 0) + 1

    def burst(self):
        for device, count in self.counts.items():
            yield self.first + _THINNED + b" %d %s\n" % (count, device)
        self.counts = {}

    @staticmethod
    def _device(line):
        match = _FAULT_SOURCE.search(line)
        if not match:
            return b"?"
        if match[1]:
            return match[1]
        return b"%x" % requester(match[2].decode())

    @staticmethod
    def _moment(line):
        match = _LINE.match(line.decode("ascii", "replace"))
        return _time(match) if match else 0.0


def thin(source, path):
    """Copy a trace from a file descriptor to a file until it ends."""
    thinner = _Thinner()
    pending = b""
    with open(path, "wb", buffering=0) as target:
        while True:
            data = os.read(source, 1 << 20)
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            target.write(b"".join(thinner.lines([line + b"\n"
                                                 for line in lines])))
        target.write(b"".join(thinner.burst()) + pending)
