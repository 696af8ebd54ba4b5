# SPDX-License-Identifier: GPL-2.0
"""QEMU's trace of what its IOMMU did, as a list of plain records.

The trace, not the log of the kernel under test, says what happened: the kernel
rate-limits its fault messages and knows nothing of accesses that succeed.
"""

import collections
import datetime
import re

# time: seconds since the epoch, the clock that console lines are stamped with
Access = collections.namedtuple("Access", "time device iova address")
Fault = collections.namedtuple("Fault", "time device iova write reason")
Switch = collections.namedtuple("Switch", "time on")
Root = collections.namedtuple("Root", "time address scalable")
Attach = collections.namedtuple("Attach", "time device")
Reset = collections.namedtuple("Reset", "time model")

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


def _amdvi_result(time, text):
    iova, address = _numbers(text)
    device = requester(text)
    if not address:
        return Fault(time, device, iova, None, None)
    return Access(time, device, iova, address)


def _hda_stopped(time, text):
    return Reset(time, "hda") if text.rstrip().endswith("run 0") else None


def _e1000e_reset(time, _text):
    return Reset(time, "e1000e")


_DEVICES = {
    "hda_audio_running": _hda_stopped,
    "e1000e_core_ctrl_sw_reset": _e1000e_reset,
}

EVENTS = {
    "vtd": {
        "vtd_dmar_translate": _vtd_translate,
        "vtd_dmar_fault": _vtd_fault,
        "vtd_fault_disabled": _vtd_suppressed_fault,
        "vtd_dmar_enable": _vtd_enable,
        "vtd_reg_dmar_root": _vtd_root,
        "vtd_inv_desc_cc_devices": _vtd_context_flush,
        **_DEVICES,
    },
    "amdvi": {
        "amdvi_translation_result": _amdvi_result,
        **_DEVICES,
    },
}


def read(path, iommu):
    """All records of a trace file, in order."""
    parsers = EVENTS[iommu]
    records = []
    with open(path, encoding="ascii", errors="replace") as lines:
        for line in lines:
            match = _LINE.match(line)
            if not match:
                continue
            parser = parsers.get(match[3])
            if not parser:
                continue
            if match[1]:
                time = float(match[1])
            else:               # the format since QEMU 10.1
                time = datetime.datetime.fromisoformat(
                    match[2] + "+00:00").timestamp()
            record = parser(time, match[4])
            if record:
                records.append(record)
    return records


def roots(path, iommu):
    """Root records only, quickly: for use while the machine runs."""
    if iommu != "vtd":
        return []
    name = b"vtd_reg_dmar_root"
    with open(path, "rb") as file:
        lines = [line for line in file if name in line]
    found = []
    for line in lines:
        match = _LINE.match(line.decode("ascii", "replace"))
        if match:
            found.append(_vtd_root(float(match[1] or 0), match[4]))
    return found
