# SPDX-License-Identifier: GPL-2.0
"""QEMU's trace of what its IOMMU did, as a list of plain records.

The trace, not the log of the kernel under test, says what happened: the kernel
rate-limits its fault messages and knows nothing of accesses that succeed.
"""

import datetime
import os
import re

from . import arch
from .records import (Access, Attach, DeviceFlush, Fault, Faults,  # noqa: F401
                      Flush, Msi, Reset, Root, Switch, Untranslated, count_of,
                      requester, requester_name)

_LINE = re.compile(r"(?:\d+@(\d+\.\d+):|(\d{4}-\d\d-\d\dT[\d:.]+)Z )(\S+) (.*)")


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

def _parsers(iommu):
    return {**arch.of(iommu).parsers(iommu), **_DEVICES}


def events(iommu):
    """Names of QEMU's trace events that read() wants."""
    return [name for name in _parsers(iommu) if name]


def _time(match):
    if match[1]:
        return float(match[1])
    # the format since QEMU 10.1
    return datetime.datetime.fromisoformat(match[2] + "+00:00").timestamp()


def read(path, iommu):
    """All records of a trace file, in order."""
    parsers = {**_parsers(iommu), **arch.of(iommu).MSIS,
               _THINNED.decode(): _thinned_faults}
    records = []
    with open(path, encoding="ascii", errors="replace") as lines:
        for line in lines:
            match = _LINE.match(line)
            if not match:
                continue
            parser, text = parsers.get(match[3]), match[4]
            if not parser:
                parser, text = parsers.get(""), f"{match[3]} {text}"
            record = parser and parser(_time(match), text)
            if record:
                records.append(record)
    return records


def roots(path, iommu):
    """Root records only, quickly: for use while the machine runs."""
    name = arch.of(iommu).ROOT_EVENT
    parser = _parsers(iommu).get(name)
    if not parser:
        return []
    with open(path, "rb") as file:
        lines = [line for line in file if name.encode() in line]
    matches = [_LINE.match(line.decode("ascii", "replace")) for line in lines]
    records = [parser(_time(match), match[4]) for match in matches if match]
    return [record for record in records if isinstance(record, Root)]


def faults_so_far(path, iommu):
    """How many, quickly and roughly: for use while the machine runs."""
    faults = 0
    fault = arch.of(iommu).FAULT
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break           # it is being written
            if _THINNED in line:
                faults += int(line.split(_THINNED)[1].split()[0])
            elif fault.search(line):
                faults += 1
    return faults


# -- while QEMU writes -----------------------------------------------------------

# So many faults are kept one by one. A storm has hundreds of thousands.
FAULTS_KEPT = 5000
BURST = 0.01                    # seconds of faults that become one line
_THINNED = b"rig_faults"


class _Thinner:
    """Lines in, lines out: faults beyond the first ones become counts."""

    def __init__(self, architecture):
        self.arch = architecture
        self.found = False
        self.faulted = False    # the last line is one that has an echo
        self.kept = 0
        self.counts = {}        # faults of the burst, by device
        self.regions = {}       # {name of a region: whose it is}
        self.first = None       # what the first line of the burst begins with
        self.since = 0.0

    def lines(self, lines):
        for line in lines:
            if self._is_unwanted(line):
                continue
            self._learn(line)
            found, self.found = self.found, _has(self.arch.NO_FAULT, line)
            if found or not self.arch.FAULT.search(line):
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
                name = self.arch.FAULT.search(line).start()
                self.first, self.since = line[:name], now
            device = self._device(line)
            self.counts[device] = self.counts.get(device, 0) + 1

    def burst(self):
        for device, count in self.counts.items():
            yield self.first + _THINNED + b" %d %s\n" % (count, device)
        self.counts = {}

    def _is_unwanted(self, line):
        if _has(self.arch.NOISE, line):
            return True
        if not self.arch.ECHO:
            return False
        before, echo = self.arch.ECHO
        after, self.faulted = self.faulted, _has(before, line)
        return after and _has(echo, line)

    def _learn(self, line):
        match = self.arch.REGION and self.arch.REGION.search(line)
        if match:
            self.regions[match["region"]] = match["number"]

    def _device(self, line):
        match = self.arch.FAULT_SOURCE.search(line)
        if not match:
            return b"?"
        found = match.groupdict()
        if found.get("region"):     # it has the place on a bus, and not which bus
            return self.regions.get(found["region"], b"%x" % int(found["place"]))
        return found.get("number") or b"%x" % requester(match["name"].decode())

    @staticmethod
    def _moment(line):
        match = _LINE.match(line.decode("ascii", "replace"))
        return _time(match) if match else 0.0


def _has(pattern, line):
    return bool(pattern and pattern.search(line))


def thin(source, path, iommu):
    """Copy a trace from a file descriptor to a file until it ends."""
    thinner = _Thinner(arch.of(iommu))
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
