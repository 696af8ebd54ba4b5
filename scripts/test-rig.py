#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""test-rig.py: interrupt the test rig at any moment, and look at what is left.

Starts subcommands of kdump_rig.py, ends them by SIGINT, SIGTERM or SIGKILL at moments
that the seed decides, and looks for processes of theirs, for results that are not
whole, and for files of runs. Another run goes on beside them all the time, with an
output folder of its own, and must not notice.

Prints TAP. Wants the kernels of "make kernel kernel-mainline", or --framework and
--mainline. --all interrupts each subcommand by each signal; without it there are a
few, for make check. --seed repeats the moments of an earlier run.
"""

import argparse
import importlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types

sys.dont_write_bytecode = True

REPO = pathlib.Path(__file__).resolve().parent.parent
RIG = REPO / "tools/testing/selftests/iommu/kdump/kdump_rig.py"
sys.path.insert(0, str(RIG.parent))

# What is interrupted, and what each needs to have something to do for a while.
COMMANDS = {
    "demo": ["--only", "hda,driverless", "--iommu", "vtd"],
    "check": ["--only", "hda", "--iommu", "vtd", "--mode", "legacy"],
    "compare": ["--only", "hda", "--iommu", "vtd", "--mode", "legacy"],
    "corrupt": ["--iommu", "vtd", "--mode", "legacy"],
    "soak": ["--iommu", "vtd", "--mode", "legacy", "--seed", "1"],
}
# In make check: the subcommand, the signal, and whether a machine must be running.
FEW = (("demo", "SIGINT", True), ("check", "SIGTERM", False),
       ("compare", "SIGKILL", False), ("corrupt", "SIGKILL", True),
       ("soak", "SIGTERM", True))
SIGNALS = ("SIGINT", "SIGTERM", "SIGKILL")

# STRTAB_BASE_CFG of an SMMUv3 with 16 bits of stream IDs.
TWO_LEVELS = 1 << 16 | 8 << 6 | 16

# An environment variable by which processes are found, whoever their parent is now.
MARK = "KDUMP_TEST_RIG"
GONE_WITHIN = 5.0           # seconds for a killed machine to give its memory back
MACHINE_WITHIN = 120.0


class Failed(Exception):
    """What is wrong, in one line."""


def processes_of(mark, folder):
    """{pid: command} of all that a rig has started, by its mark or its folder."""
    found = {}
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        pid = int(place.name)
        if pid == os.getpid():
            continue
        try:
            command = (place / "cmdline").read_bytes()
            environment = (place / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in environment or \
                str(folder).encode() in command:
            found[pid] = command.replace(b"\0", b" ").decode("utf-8", "replace")
    return found


def start(command, mark, out, kernels):
    words = [sys.executable, str(RIG), *command, "--out", str(out), "--jobs", "1"]
    for name, place in kernels.items():
        words += [f"--{name}", str(place)]
    log = open(out / f"{mark}.log", "wb")       # pylint: disable=consider-using-with
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                            env=os.environ | {MARK: mark}, start_new_session=True)


def tail(out, mark):
    lines = (out / f"{mark}.log").read_text("utf-8", "replace").splitlines()
    return lines[-1] if lines else "it has said nothing"


def wait_for_machine(rig, mark, out):
    until = time.monotonic() + MACHINE_WITHIN
    while time.monotonic() < until:
        if rig.poll() is not None:
            raise Failed(f"it ended by itself with status {rig.returncode} before a "
                         f"machine ran: {tail(out, mark)}")
        if any("qemu-system" in command.split(" ")[0] for command in
               processes_of(mark, out).values()):
            return
        time.sleep(0.1)
    raise Failed(f"no machine within {MACHINE_WITHIN:.0f} seconds: {tail(out, mark)}")


def results(out):
    """All lines of results.jsonl, which must be whole."""
    path = out / "results.jsonl"
    text = path.read_text() if path.exists() else ""
    if text and not text.endswith("\n"):
        raise Failed("results.jsonl ends within a line")
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
            found[-1]["verdict"]                # pylint: disable=expression-not-assigned
        except (ValueError, KeyError):
            raise Failed(f"results.jsonl has half a line: {line[:60]}") from None
    return found


def interrupt(name, sent, with_machine, moment, out, kernels):
    """One subcommand, ended by a signal at a moment."""
    mark = f"{name}-{sent}-{os.getpid()}"
    rig = start([name, *COMMANDS[name]], mark, out, kernels)
    try:
        if with_machine:
            wait_for_machine(rig, mark, out)
        time.sleep(moment)
        if rig.poll() is not None:
            raise Failed(f"it ended by itself with status {rig.returncode}: "
                         f"{tail(out, mark)}")
        rig.send_signal(getattr(signal, sent))
        try:
            status = rig.wait(20)
        except subprocess.TimeoutExpired:
            raise Failed("it goes on 20 seconds after the signal") from None
        number = getattr(signal, sent)
        if status != (-number if sent == "SIGKILL" else 128 + number):
            raise Failed(f"it ended with status {status}: {tail(out, mark)}")

        until = time.monotonic() + GONE_WITHIN
        while (left := processes_of(mark, out)) and time.monotonic() < until:
            time.sleep(0.1)
        if left:
            raise Failed("left behind: " + "; ".join(
                f"{pid} {command[:60]}" for pid, command in left.items()))
        results(out)
        if "Traceback" in (out / f"{mark}.log").read_text("utf-8", "replace"):
            raise Failed(f"it printed a traceback: {tail(out, mark)}")
        partial = [str(path.relative_to(out)) for path in out.rglob("*.partial")]
        if sent != "SIGKILL":       # who is killed cannot tidy up: the next one does
            partial += [str(path.relative_to(out)) for path in
                        (out / "runs").glob("*")]
        if partial:
            raise Failed(f"left behind: {', '.join(partial)}")
    finally:
        for pid in processes_of(mark, out):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        rig.wait()


def whole_line_after_half_one(out, kernels):
    """What is left of a rig killed within a line, or a run, goes with the next run."""
    with open(out / "results.jsonl", "ab") as file:
        file.write(b'{"scenario": "hda", "verd')
    (out / "runs").mkdir(exist_ok=True)
    left = out / "runs/hda-vtd-legacy-framework-1"
    left.mkdir(exist_ok=True)
    (left / "owner").touch()
    before = (out / "results.jsonl").read_bytes().count(b"\n")
    rig = start(["run", "driverless"], "after", out, kernels)
    status = rig.wait(300)
    if status != 0:
        raise Failed(f"the next run fails: {tail(out, 'after')}")
    if len(results(out)) != before + 1:
        raise Failed("the next run has not appended one line")
    if list((out / "runs").iterdir()):
        raise Failed("folders of runs that were killed are still there")


def judge_notices():
    """What the corrupt command has to notice, each alone in a made-up run."""
    corrupt, tables, trace, variants = (
        importlib.import_module(f"rig.{name}")
        for name in ("corrupt", "tables", "trace", "variants"))
    victim, far = corrupt.VICTIM, corrupt.FAR["vtd"]
    page, old, crash = 0xffff0, 0x100000, 0x2000000

    def access(time, device, address):
        return trace.Access(time, device, page << 12, address)

    good = [record for device in (victim, corrupt.NEIGHBOUR, far)
            for record in (access(1, device, old), access(8.9, device, old))]
    good += [trace.Root(4, crash, False), trace.Attach(6, victim), trace.Flush(6.1, 3),
             access(5, victim, crash)]
    wrong = {
        None: {},
        "after the validation": {"records": [access(7, victim, crash)]},
        "handed out again": {"records": [access(7, victim, crash)],
                             "new_maps": [(8, {victim: tables.from_pages(
                                 {page: crash})})]},
        "2 faults of healthy devices": {"records": [trace.Faults(7, 2, far)]},
        "1 faults of healthy devices": {"records": [trace.Fault(7, far, page << 12, True, 5)]},
        "went elsewhere": {"records": [access(7, far, old + 4096)]},
        "had stopped": {"end": 20},
        "never validated": {"without": trace.Attach},
        "is blocked, not inherited": {"states": {far: "blocked"}},
        "in the log": {"log": ""},
        "lines about faults": {"log_lines": 30},
        "through the edu device": {"loopbacks": ["other data"]},
    }
    for reason, change in wrong.items():
        scenario = corrupt.Corrupt("leaf-crash-victim")
        scenario.variant = variants.Variant("vtd", "legacy")
        scenario.affected = [victim]
        scenario.old_domains = dict.fromkeys(scenario.roles, 3)
        states = {device: next(iter(scenario.expected(device)))
                  for device in scenario.roles} | change.get("states", {})
        by_name = {scenario.full_name(device): state for device, state in states.items()}
        log = change.get("log", "group 1: 0 pages with a corrupt entry, 26 outside of the "
                                "crashed kernel's memory, 0 out of range: left out")
        records = [record for record in good + change.get("records", [])
                   if not isinstance(record, change.get("without", ()))]
        made_up = types.SimpleNamespace(
            iommu="vtd", arch=scenario.variant.arch, framework=True, inherits=True,
            crash_hits=[], panic=2,
            log_lines=change.get("log_lines", 29),
            machine=types.SimpleNamespace(console=[]),
            records=sorted(records, key=lambda record: record.time),
            times={"forged": 3, "boot": 3.5}, down=change.get("end", 9),
            over=change.get("end", 9),
            old_map=dict.fromkeys(scenario.devices, tables.from_pages({page: old})),
            new_maps=change.get("new_maps", []),
            loopbacks=change.get("loopbacks", ["good"]),
            in_crash_memory=lambda address: crash <= address < 2 * crash,
            state_of_device=by_name.get, group_of_device=lambda name: "1",
            crash_log=lambda pattern, log=log: re.search(pattern, log))
        found = scenario.judge(made_up)
        if reason is None and found:
            raise Failed(f"a good run fails: {found}")
        if reason and not any(reason in text for text in found):
            raise Failed(f"it does not notice \"{reason}\": {found}")


def end_is_judged():
    """Translation that is switched off after the last check, and what goes on till then."""
    run, scenarios, tables, variants = (
        importlib.import_module(f"rig.{name}")
        for name in ("run", "scenarios", "tables", "variants"))
    lines = {
        "vtd": ("vtd_dmar_enable enable {}", "vtd_dmar_translate dev 00:05.0 iova 0x1000 "
                "-> gpa 0x2000 mask 0xfff", "vtd_dmar_translate dev 01:00.0 iova 0x1000 "
                "-> gpa 0x2000 mask 0xfff"),
        "amdvi": ("amdvi_control_status MMIO_STATUS state 0x{}",
                  "amdvi_translation_result devid: 00:05.0, gpa 0x1000 hpa 0x2000",
                  "amdvi_translation_result devid: 01:00.0, gpa 0x1000 hpa 0x2000"),
        # another directory is as bad as none
        "riscv": ("memory_region_ops_write cpu 0 mr 0x1 addr 0x3010010 value 0x{}0403 size 8 "
                  "name 'riscv-iommu-regs'",
                  "riscv_iommu_dma (null): translate 0000:05.0 #0 RO 0x1000 -> 0x2000",
                  "riscv_iommu_dma (null): translate 0001:00.0 #0 WR 0x1000 -> 0x2000"),
        "smmuv3": ("smmuv3_write_mmio addr: 0x20 val:0x{} size: 0x4(0)",
                   "smmuv3_translate_success region-40-1 sid=0x28 iova=0x1000 "
                   "translated=0x2000 perm=0x3 stage=1",
                   "smmuv3_translate_success region-0-2 sid=0x100 iova=0x1000 "
                   "translated=0x2000 perm=0x3 stage=1"),
    }
    # (reason, when translation is off, the last access, the line of the reboot)
    cases = ((None, None, 8.9, True), ("own shutdown", 8.95, 8.9, True),
             ("switched off 1 times", 6, 8.9, True), (None, 9.5, 8.9, True),
             ("stopped before the reboot", None, 7.9, True),
             ("not rebooted by itself", None, 8.9, False))
    for iommu, (switch, one, two) in lines.items():
        for reason, off, last, said in cases:
            events = [(1, switch.format(1)), (3, one), (3, two), (last, one), (last, two)]
            if off:
                events.append((off, switch.format(0)))
            scenario = scenarios.Reboot()
            variant = scenario.variant = variants.default(iommu)
            with tempfile.TemporaryDirectory(prefix="test-rig.") as folder:
                path = pathlib.Path(folder) / "trace"
                path.write_text("".join(f"1@{when:.6f}:{text}\n"
                                        for when, text in sorted(events)))
                made_up = run.Run(scenario, "mainline", variant, folder)
                made_up.machine = types.SimpleNamespace(
                    trace_path=path, console=[], memory=bytes(1 << 20),
                    ranges=[(0, 1 << 20)])
                made_up.boots = 2
                made_up.crash_range = 0x10000, 0x20000
                made_up.old_map = dict.fromkeys(scenario.devices,
                                                tables.from_pages({1: 0x2000}))
                made_up.any_group = made_up.vmcore = True
                made_up.times = {"panic": 2.0, "dead": 2.1, "boot": 3.2, "userspace": 5.0,
                                 "end": 8.0, "over": 9.2}
                if said:
                    made_up.on_line(8.9, "[    3.1] reboot: Restarting system")
                made_up.evaluate()
                found = made_up.reasons()
            if reason is None and found:
                raise Failed(f"{iommu}: a good run fails: {found}")
            if reason and not any(reason in text for text in found):
                raise Failed(f"{iommu}: it does not notice \"{reason}\": {found}")


def reads_traces():
    """Lines that only some scenarios ask for, in the formats of both QEMUs."""
    trace = importlib.import_module("rig.trace")
    lines = {"vtd": "12@5.250000:vtd_ir_remap_msi_req (addr 0xfee00318, data 0x0)\n",
             "amdvi": "2026-11-28T12:00:05.250000Z amdvi_ir_remap_msi_req addr 0xfee01000 "
                      "data 0x21 devid 0x28\n"}
    for iommu, line in lines.items():
        with tempfile.NamedTemporaryFile("w", prefix="test-rig.") as file:
            file.write(line + line.replace("_req", ""))
            file.flush()
            found = trace.read(file.name, iommu)
        if len(found) != 1 or not isinstance(found[0], trace.Msi) or \
                found[0].time % 1 != 0.25:
            raise Failed(f"{iommu}: it reads {found}")


def faults_have_devices():
    """QEMU's log names a region of memory, and other lines tell whose it is."""
    arch, trace = (importlib.import_module(f"rig.{name}") for name in ("arch", "trace"))
    stamp = "2026-11-28T12:00:05.{:06d}Z "
    region = "smmuv3-iommu-memory-region-{}"
    failed = region + " translation failed for iova=0x{:x} (SMMU_EVT_F_TRANSLATION)"
    known = ("smmuv3_translate_success " + region + " sid=0x108 iova=0xffff1000 "
             "translated=0x41000000 perm=0x3 stage=1").format("8-1")
    lines = [known, failed.format("8-1", 0xffff1000), failed.format("16-2", 0xffff2000),
             "smmuv3_write_mmio addr: 0x98 val:0x3 size: 0x4(0)",
             "smmuv3_translate_abort " + region.format("8-1") +
             " sid=0x108 abort on iova:0xffff3000 is_write=1"]
    kept, trace.FAULTS_KEPT = trace.FAULTS_KEPT, 2
    try:
        thinner = trace._Thinner(arch.of("smmuv3"))
        thinned = [*thinner.lines([(stamp.format(number) + line + "\n").encode()
                                   for number, line in enumerate(lines)]),
                   *thinner.burst()]
    finally:
        trace.FAULTS_KEPT = kept
    with tempfile.NamedTemporaryFile("wb", prefix="test-rig.") as file:
        file.write(b"".join(thinned))
        file.flush()
        found = trace.read(file.name, "smmuv3")
    expected = [trace.Access, trace.Fault, trace.Fault, trace.Faults]
    if [type(record) for record in found] != expected or \
            [record.device for record in found] != [0x108, 0x108, 16, 0x108] or \
            found[1].iova != 0xffff1000:
        raise Failed(f"it reads {found}")


def memory_is_split():
    """Where more than 2 GiB of guest memory are, and what the crash kernel leaves."""
    x86, riscv, arm, run = (importlib.import_module(f"rig.{name}")
                            for name in ("arch.x86", "arch.riscv", "arch.arm", "run"))
    gib = 1 << 30
    low, high = [(0, gib // 2)], [(0, 2 * gib), (4 * gib, 8 * gib)]
    wrong = [what for what, found, expected in (
        ("512 MiB", x86.memory_ranges(512), low),
        ("2 GiB", x86.memory_ranges(2048), [(0, 2 * gib)]),
        ("6 GiB", x86.memory_ranges(6144), high),
        ("RISC-V", riscv.memory_ranges(6144), [(2 * gib, 8 * gib)]),
        ("Arm", arm.memory_ranges(6144), [(gib, 7 * gib)]),
        ("a hole", run.without(low, (1, 3)), [(0, 1), (3, gib // 2)]),
        ("a high one", run.without(high, (7 * gib, 8 * gib)),
         [(0, 2 * gib), (4 * gib, 7 * gib)])) if found != expected]
    if wrong:
        raise Failed(f"wrong for {', '.join(wrong)}")


def wide_is_judged():
    """The time that the boot takes, how far the windows reach, and devices that work."""
    wide = importlib.import_module("rig.scenarios").Wide()
    groups = len(wide.SINGLE) + len(wide.FULL)
    for reason, boot, line, good in (
            (None, 4, "reach     3dffffffffff", groups),
            ("seconds", 11, "reach     3dffffffffff", groups),
            ("window", 4, "reach         febfffff", groups),
            ("work", 4, "reach     3dffffffffff", groups - 1)):
        made_up = types.SimpleNamespace(times={"boot": 0, "userspace": boot}, memory={},
                                        loopbacks=["good"] * good)
        wide.on_console(1, f"[ 3.1] rig[crash]: {line}", made_up)
        found = wide.judge(made_up)
        if [reason] != [reason for text in found if reason and reason in text] and \
                (reason or found):
            raise Failed(f"\"{reason}\" expected, found {found}")


def mapping_is_added():
    """A page far from the others, with tables of its own, in formats of each kind."""
    arch, tables = (importlib.import_module(f"rig.{name}") for name in ("arch", "tables"))
    device, page, far, free = 8, 0x10, 0x10 | 5 << 9 | 3 << 18, [0x6000, 0x7000]
    entries_of = {
        # root, context (three levels), three tables
        "vtd": {0x1000: 0x2001, 0x2000 + 16 * device: 0x3001, 0x2008 + 16 * device: 1,
                0x3000: 0x4003, 0x4000: 0x5003, 0x5000 + 8 * page: 0x9003},
        # a device table entry of mode 3, and entries that say what they lead to
        "amdvi": {0x1000 + 32 * device: 3 << 61 | 0x3000 | 3 << 9 | 3,
                  0x3000: 3 << 61 | 0x4000 | 2 << 9 | 1, 0x4000: 3 << 61 | 0x5000 | 1 << 9 | 1,
                  0x5000 + 8 * page: 3 << 61 | 0x9000 | 1},
        # a directory of two levels, a context of Sv39, three tables
        "riscv": {0x1000: 2 << 10 | 1, 0x2000 + 32 * device: 1,
                  0x2018 + 32 * device: 8 << 60 | 3, 0x3000: 4 << 10 | 1,
                  0x4000: 5 << 10 | 1, 0x5000 + 8 * page: 9 << 10 | 0xc7},
        # two levels of stream table, the second of 16 entries; a context of 39 bits
        "smmuv3": {0x1000: 0x2000 | 5, 0x2000 + 64 * device: 0x2800 | 5 << 1 | 1,
                   0x2800: 1 << 31 | 25, 0x2808: 0x3000, 0x3000: 0x4003, 0x4000: 0x5003,
                   0x5000 + 8 * page: 0x9403},
    }
    roots = {"riscv": 1 << 10 | 3}      # all else is at 0x1000
    layouts = {"smmuv3": TWO_LEVELS}
    for iommu, entries in entries_of.items():
        memory = bytearray(0xa000)
        for at, word in entries.items():
            memory[at:at + 8] = word.to_bytes(8, "little")
        words = (iommu, memory, roots.get(iommu, 0x1000), layouts.get(iommu, False),
                 tables.NOTHING)
        reader = arch.of(iommu).open_tables(*words)
        reader.mappings()
        reader.add_mapping(device, far, 0x8000, list(free))
        again = arch.of(iommu).open_tables(*words)
        found = again.mappings()[device].runs
        if found != [(page, 1, 0x9000), (far, 1, 0x8000)]:
            raise Failed(f"{iommu}: {found}")


def kept_root_is_judged():
    """Of a root page that hardware does not let go of, pointers to our memory may change."""
    arch, tables = (importlib.import_module(f"rig.{name}") for name in ("arch", "tables"))
    every = {
        # three levels: bus 1 has a context of Sv39 whose page table is empty
        "riscv": ({0x1000: 2 << 10 | 1, 0x2000 + 8 * 2: 3 << 10 | 1, 0x3000: 1,
                   0x3018: 8 << 60 | 4}, (1 << 10 | 4, False), 0x100,
                  ("a pointer to our memory", 0x1000, 9 << 10 | 1, 0),
                  ("a new one", 0x1008, 9 << 10 | 1, 0),
                  ("a pointer to old memory", 0x1000, 5 << 10 | 1, 1),
                  ("none", 0x1000, 0, 1), ("a reserved bit", 0x1000, 9 << 10 | 3, 1),
                  ("the second level", 0x2010, 9 << 10 | 1, 1), ("a context", 0x3018, 0, 1)),
        # two levels: bus 1 has an entry and a context whose page table is empty
        "smmuv3": ({0x1008: 0x2001, 0x2000: 0x3000 | 5 << 1 | 1, 0x3000: 1 << 31 | 25,
                    0x3008: 0x4000}, (0x1000, TWO_LEVELS), 0x100,
                   ("a pointer to our memory", 0x1008, 0x9001, 0),
                   ("a new one", 0x1000, 0x9001, 0),
                   ("a pointer to old memory", 0x1008, 0x5001, 1), ("none", 0x1008, 0, 1),
                   ("a reserved bit", 0x1008, 0x9021, 1), ("an entry", 0x2000, 1, 1),
                   ("a context", 0x3008, 0x9000, 1)),
        # one level, which has to be written
        "linear": ({0x1000 + 64 * 8: 0x3000 | 5 << 1 | 1, 0x3000: 1 << 31 | 25,
                    0x3008: 0x4000}, (0x1000, 5), 8,
                   ("an entry", 0x1200, 1, 0), ("a context", 0x3008, 0x9000, 1)),
    }
    for name, (words, (root, layout), device, *cases) in every.items():
        iommu = "smmuv3" if name == "linear" else name
        for what, at, word, expected in (("nothing", 0x8000, 1, 0), *cases):
            memory = bytearray(0xa000)
            for place, value in words.items():
                memory[place:place + 8] = value.to_bytes(8, "little")
            reader = arch.of(iommu).open_tables(iommu, memory, root, layout,
                                                tables.NOTHING)
            if list(reader.mappings()) != [device]:
                raise Failed(f"{name}: devices: {reader.mappings()}")
            # as mmap does, the reader's copies stay what they were
            reader.tables = {place: (bytes(data), bits)
                             for place, (data, bits) in reader.tables.items()}
            memory[at:at + 8] = word.to_bytes(8, "little")
            found = reader.changes(memory, lambda address: address >= 0x9000)
            if found != expected:
                raise Failed(f"{name}, {what}: {found} changes, not {expected}")


def reads_stream_tables():
    """Each kind of entry and of context, each granule, and both stages."""
    tables = importlib.import_module("rig.tables")
    open_tables = importlib.import_module("rig.arch.arm").open_tables
    ram = tables.from_pages({4: 0x4000})
    s1, s2, bypass = 5 << 1 | 1, 6 << 1 | 1, 4 << 1 | 1
    entry, context, top = 0x1000 + 64 * 8, 0x3000, 0x10000
    many = 1 << 59                          # S1CDMax: more than one context
    large = 1 << 31 | 1 << 6                # of 64 KiB
    small = 1 << 31 | 25                    # three levels of 4 KiB
    three = {context: small, context + 8: top, top: 0x11003, 0x11000: 0x12003}
    page = three | {0x12000 + 8: 0x9403}
    found_page = [(1, 1, 0x9000)]
    cases = (
        ("abort", {entry: 1}, None), ("not valid", {entry: s1 & ~1 | context} | page, None),
        ("bypass", {entry: bypass}, ram.runs),
        ("nested", {entry: 7 << 1 | 1 | context} | page, []),
        ("a page", {entry: s1 | context} | page, found_page),
        ("not accessed", {entry: s1 | context} | page | {0x12008: 0x9003}, []),
        ("reserved", {entry: s1 | context} | page | {0x12008: 0x9401}, []),
        ("a block", {entry: s1 | context} | three | {0x11008: 0x200401},
         [(512, 512, 0x200000)]),
        ("no table", {entry: s1 | context} | page | {context: small | 1 << 14}, []),
        ("context not valid", {entry: s1 | context} | page | {context: 25}, []),
        ("several, terminated", {entry: s1 | context | many} | page, []),
        ("several, bypass", {entry: s1 | context | many, entry + 8: 1} | page, ram.runs),
        ("several, the first", {entry: s1 | context | many, entry + 8: 2} | page, found_page),
        ("two levels of contexts", {entry: s1 | 0x4000 | many | 2 << 4, entry + 8: 2,
                                    0x4000: context | 1} | page, found_page),
        ("such a one that is absent", {entry: s1 | 0x4000 | many | 2 << 4, entry + 8: 2}
         | page, []),
        ("48 bits", {entry: s1 | context} | page | {
            context: 1 << 31 | 16, context + 8: 0x5000, 0x5000: top | 3}, found_page),
        ("a small top", {entry: s1 | context} | page | {
            context: 1 << 31 | 23, context + 8: 0x5040, 0x5048: 0x10003,
            0x5060: 0xffffffffff003}, [((1 << 39 - 12) + 1, 1, 0x9000)]),
        ("64 KiB", {entry: s1 | context, context: large | 64 - 42, context + 8: top,
                    top + 8: 0x20003, 0x20000 + 16: 0x90403},
         [((1 << 29 - 12) + 32, 16, 0x90000)]),
        ("16 KiB", {entry: s1 | context, context: 1 << 31 | 2 << 6 | 64 - 36,
                    context + 8: top, top + 8: 0x20003, 0x20000 + 16: 0x94403},
         [((1 << 25 - 12) + 8, 4, 0x94000)]),
        # 40 bits in three levels: two tables beside one another at the top
        ("stage 2", {entry: s2, entry + 16: (24 | 1 << 6) << 32 | 7, entry + 24: top,
                     top + 8 * 513: 0x12003, 0x12000: 0x13003, 0x13000 + 8: 0x9443},
         [((513 << 18) + 1, 1, 0x9000)]),
        ("stage 2 of 44 bits", {entry: s2, entry + 16: (20 | 2 << 6) << 32 | 7,
                                entry + 24: top, top + 8 * 3: 0x11003, 0x11000: 0x12003,
                                0x12000: 0x13003, 0x13000 + 8: 0x9443},
         [((3 << 27) + 1, 1, 0x9000)]),
    )
    for what, words, expected in cases:
        memory = bytearray(0x30000)
        for at, word in words.items():
            memory[at:at + 8] = word.to_bytes(8, "little")
        found = open_tables("smmuv3", memory, 0x1000, 5, ram).mappings().get(8)
        if (found if found is None else found.runs) != expected:
            raise Failed(f"{what}: {found and found.runs}, not {expected}")


def acpi_table(signature, body):
    """One with its checksum right."""
    table = bytearray(signature + (36 + len(body)).to_bytes(4, "little") + bytes(28) + body)
    table[9] = -sum(table) & 0xff
    return table


def finds_acpi_table():
    """Only what has the signature, a length and the right checksum is a table."""
    firmware = importlib.import_module("rig.firmware")
    table = acpi_table(b"DMAR", bytes(28))
    memory = bytearray(8192)
    memory[100:104] = b"DMAR"                   # a string
    memory[1024:1024 + 64] = table
    memory[4096:4096 + 64] = table
    memory[4096 + 20] ^= 1                      # its checksum is wrong
    memory[8192 - 60:] = table[:60]             # the end is cut off
    if list(firmware.find(b"\0DMAR", b"DMAR")):
        raise Failed("it finds a table where there is only a signature")
    found = list(firmware.find(memory, b"DMAR"))
    if found != [(1024, 64)]:
        raise Failed(f"it finds {found}")


def region_is_added():
    """The next kernel finds the longer table, and only that."""
    firmware = importlib.import_module("rig.firmware")
    for iommu, signature in firmware.SIGNATURE.items():
        memory = bytearray(8192)
        memory[1024:1024 + 64] = acpi_table(signature, bytes(28))
        memory[2048:2048 + 44] = acpi_table(
            b"RSDT", (4000).to_bytes(4, "little") + (1024).to_bytes(4, "little"))
        firmware.add_region(memory, iommu, 0x28, 0x1000, 0x3000, 4096)
        (root, size), = firmware.find(memory, b"RSDT")
        if int.from_bytes(memory[root + size - 4:root + size], "little") != 4096:
            raise Failed(f"{iommu}: the root table does not lead to the new one")
        if (4096, 96) not in firmware.find(memory, signature):
            raise Failed(f"{iommu}: no table with one structure more")
        if (0x1000).to_bytes(8, "little") not in memory[4096 + 64:4096 + 96]:
            raise Failed(f"{iommu}: the structure does not say where")
        try:
            firmware.add_region(memory, iommu, 0x28, 0x1000, 0x3000, 4096)
            raise Failed(f"{iommu}: it has overwritten something")
        except firmware.Missing:
            pass


class Tap:
    def __init__(self, count):
        self.number = self.failed = 0
        print(f"TAP version 13\n1..{count}", flush=True)

    def run(self, title, function, *arguments):
        self.number += 1
        try:
            function(*arguments)
            print(f"ok {self.number} {title}", flush=True)
        except Failed as reason:
            self.failed += 1
            print(f"# {reason}\nnot ok {self.number} {title}", flush=True)


def options():
    built = pathlib.Path(os.environ.get("OUT", REPO / "out")) / "build"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--framework", type=pathlib.Path, default=built / "framework")
    parser.add_argument("--mainline", type=pathlib.Path, default=built / "mainline")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1000000)
    parser.add_argument("--all", action="store_true",
                        help="each subcommand by each signal, early and late")
    return parser.parse_args()


def main():
    wanted = options()
    kernels = {"framework": wanted.framework, "mainline": wanted.mainline}
    missing = [name for name, place in kernels.items()
               if not (place / "arch/x86/boot/bzImage").exists()]
    if missing or not shutil.which("qemu-system-x86_64"):
        why = "make kernel kernel-mainline" if missing else "install qemu-system-x86"
        print(f"TAP version 13\n1..1\nok 1 interrupting the rig # SKIP first {why}")
        return 0

    plans = list(FEW)
    if wanted.all:
        plans = [(name, sent, late) for name in COMMANDS for sent in SIGNALS
                 for late in (False, True)]
    chance = random.Random(wanted.seed)
    print(f"# seed {wanted.seed}")
    tap = Tap(len(plans) + 13)
    tap.run("the judge of corrupted tables notices what is wrong", judge_notices)
    tap.run("interrupts are read from the trace", reads_traces)
    tap.run("the host knows where guest memory is", memory_is_split)
    tap.run("a boot that takes too long is noticed", wide_is_judged)
    tap.run("the host adds a mapping", mapping_is_added)
    tap.run("only pointers of a kept root page may change", kept_root_is_judged)
    tap.run("the host reads stream tables", reads_stream_tables)
    tap.run("faults of an SMMUv3 have a device", faults_have_devices)
    tap.run("the host adds a region of firmware's", region_is_added)
    tap.run("the host finds an ACPI table in memory", finds_acpi_table)
    tap.run("the judge goes on until the machine has ended", end_is_judged)
    ours = {"framework": wanted.framework}
    with tempfile.TemporaryDirectory(prefix="test-rig.") as folder:
        folder = pathlib.Path(folder)
        out, beside = folder / "interrupted", folder / "beside"
        out.mkdir()
        beside.mkdir()
        other = start(["run", "driverless", "--runs", "3" if not wanted.all else "20"],
                      "beside", beside, ours)

        def not_disturbed():
            status = other.wait(900)
            if status != 0:
                raise Failed(f"it ended with status {status}: {tail(beside, 'beside')}")
            if not all(result["verdict"] == "pass" for result in results(beside)):
                raise Failed("its results are no pass")

        try:
            for name, sent, late in plans:
                moment = chance.uniform(0, 4 if late else 8)
                tap.run(f"{name} interrupted by {sent} {moment:.1f} s after "
                        f"{'a machine has' if late else 'it was'} started",
                        interrupt, name, sent, late, moment, out,
                        kernels if name == "compare" else ours)
            tap.run("the next run tidies up", whole_line_after_half_one, out, ours)
            tap.run("a run beside is not disturbed", not_disturbed)
        finally:
            if other.poll() is None:
                other.terminate()
                other.wait(30)
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
