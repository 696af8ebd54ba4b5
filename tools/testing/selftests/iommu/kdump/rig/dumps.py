# SPDX-License-Identifier: GPL-2.0
"""Dumps as people make them: kexec loads, makedumpfile saves, crash opens.

The guest's half is guest/scenarios/dump.sh. What is in the dump is compared with
what the host has read from the guest's memory before the crash kernel's first
instruction.
"""

import functools
import os
import re
import select
import shutil
import struct
import subprocess
import time

from . import processes, report, tables, trace
from .scenarios import Scenario, sound

SOUND = trace.requester("00:05.0")
DRIVERLESS_SOUND = trace.requester("00:06.0")
TARGET = trace.requester("00:04.0")
PANIC = "Kernel panic - not syncing: sysrq triggered crash"
# A bit of makedumpfile's level: leave out pages of programs. It takes pages of the
# kernel for those (1.7.8, the newest, says that it does not know Linux 7.3), and tasks
# are among them, and pages inside of a large allocation. Log and page tables are always
# there.
TAKES_TASKS = 8
# Who runs when the kernel panics: the first process, its helper, and who panics.
TASKS = ("swapper/0", "init", "pcm_stream", "kthreadd")


class Dump(Scenario):
    """Two sound controllers stream; one of them has no driver in the crash kernel."""

    script = "dump"
    arms = ("mainline", "framework")
    crash_options = ("iommu.kdump_grace=never",)
    timeout = 300
    judging = 600
    target = None           # what guest/scenarios/dump.sh calls it
    load = "-s"             # kexec_file_load(2), as kexec has it by default
    formats = ("c23",)      # makedumpfile's: -c -d 23

    @property
    def first_options(self):
        return (f"rig.dump={self.target}", f"rig.load={self.load}",
                "rig.formats=" + ";".join(self.formats))

    def qemu_devices(self, wires, folder):
        return ["-audiodev", "none,id=silence", *sound(0, "addr=5"),
                *sound(1, "addr=6"), *self.target_device(folder)]

    def target_device(self, folder):
        raise NotImplementedError

    def take(self, kind, folder, run):
        """The path of a dump that the guest says it has saved."""
        raise NotImplementedError

    def judge(self, run):
        self.findings = []
        reasons = []
        for kind in self.formats:
            found = {"format": kind, "load": self.load, "bytes": None,
                     "seconds": run.saved.get(kind), "by": "-", "panic": False,
                     "tasks": 0, "tables": [0, 0]}
            self.findings.append(found)
            complaints = self._judge_one(kind, found, run)
            reasons += [f"{kind}: {text}" for text in complaints]
        self.clean(run.folder)
        return reasons

    def _judge_one(self, kind, found, run):
        if kind not in run.saved:
            return ["the guest has saved no dump"]
        try:
            path = self.take(kind, run.folder, run)
        except Unreadable as why:
            return [str(why)]
        found["bytes"] = path.stat().st_size
        if run.old_tables is None:
            return ["the host has read no tables of the crashed kernel"]
        try:
            opened = Opened(self.extras, path, run)
        except Unreadable as why:
            return [str(why)]
        finally:
            path.unlink()
        found["by"] = opened.by
        found["panic"] = opened.panic
        found["tasks"] = len(opened.tasks)
        found["tables"] = [opened.equal, len(run.old_tables.tables)]
        reasons = list(opened.reasons)
        if not opened.panic:
            reasons.append("crash does not find the panic message of this run")
        tasks = [name for name in TASKS if name not in opened.tasks]
        missing = opened.missing
        if int(kind[1:]) & TAKES_TASKS:
            tasks = []
            missing = [page for page in missing if page not in run.old_tables.inner]
        if tasks:
            reasons.append(f"crash does not find the task {tasks[0]}")
        if missing:
            reasons.append(f"{len(missing)} tables of the crashed kernel are not in the "
                           f"dump, the first of them at {missing[0]:#x}")
        return reasons

    def clean(self, folder):
        """Images are large, and what they held has been compared."""


class Unreadable(Exception):
    """Why a dump cannot be opened."""


class Opened:
    """What crash(8) finds in a dump.

    In its minimal mode: no version of it that Debian has (9.0.2 is the newest) knows the
    tasks and modules of this kernel, and ends when it looks for them. What it offers
    then is the log and memory, by virtual address; the tasks are found with that.
    """

    MOST_TASKS = 4096           # a longer list goes round in circles

    def __init__(self, extras, path, run):
        self.reasons = []
        self.missing = []
        self.command = [extras["tools"] + "/crash", "-s", "--minimal", extras["vmlinux"],
                        str(path)]
        self.folder = run.folder / "crash"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        snapshot = run.old_tables.tables
        commands = ["log > log"]
        commands += [f"rd -x -p -64 {address:x} 512 >> tables"
                     for address in sorted(snapshot)]
        (self.folder / "commands").write_text("\n".join([*commands, "quit", ""]),
                                              encoding="ascii")
        status, output = processes.run([*self.command, "-i", "commands"], 240,
                                       cwd=self.folder, env=self._environment())
        (run.folder / "crash.log").write_bytes(output)
        if status != 0 or not (self.folder / "log").exists():
            lines = [line for line in output.decode("utf-8", "replace").splitlines()
                     if line.strip()]
            raise Unreadable("crash does not open it: "
                             + (lines[-1] if lines else f"status {status}"))
        self.by = version(extras["tools"])
        text = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
        # the token is on the command line: it is this run's log
        self.panic = PANIC in text and run.token in text
        self.tasks = self._tasks(extras["vmlinux"])
        self.equal = self._compare(self.folder / "tables", snapshot)
        shutil.rmtree(self.folder)

    def _environment(self):
        # it reads .crashrc where HOME is
        return {**os.environ, "HOME": str(self.folder), "TERM": "dumb"}

    def _tasks(self, vmlinux):
        """Names of all processes, by the list that begins with the first one."""
        tasks, comm = offsets(vmlinux)
        child = processes.start(self.command, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                cwd=self.folder, env=self._environment())
        reader = _MemoryReader(child)
        names = []
        try:
            first = task = reader.address_of("init_task")
            while len(names) < self.MOST_TASKS:
                names.append(b"".join(word.to_bytes(8, "little") for word in
                                      reader.words(task + comm, 2))
                             .split(b"\0")[0].decode("utf-8", "replace"))
                task = reader.words(task + tasks, 1)[0] - tasks
                if task == first:
                    return names
        except (OSError, ValueError):
            pass                # a page that is not in the dump: who is missing tells
        finally:
            processes.end(child)
        return names

    def _compare(self, path, snapshot):
        """Tables that are in the dump as they were, hardware's bits apart."""
        words = {}
        try:
            lines = path.read_text(encoding="ascii", errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        for line in lines:
            match = re.match(r"\s*([0-9a-f]+):((?:\s+[0-9a-f]{16})+)\s*$", line)
            if match:
                at = int(match[1], 16)
                for number, word in enumerate(match[2].split()):
                    words[at + 8 * number] = int(word, 16)
        equal = different = 0
        for address, (data, bits) in snapshot.items():
            found = [words.get(address + at) for at in range(0, tables.PAGE, 8)]
            if None in found:
                self.missing.append(address)
            elif any((one ^ two) & ~bits for one, two in
                     zip(found, struct.unpack("<512Q", data))):
                different += 1
            else:
                equal += 1
        if different:
            self.reasons.append(f"{different} tables in the dump are not as they were "
                                f"at the panic")
        return equal


class _MemoryReader:
    """Asks a crash that runs for words of memory, one question after the other."""

    SECONDS = 20                # for one answer, its start included

    def __init__(self, child):
        self.child = child
        self.pending = b""

    def address_of(self, symbol):
        return self._ask(symbol, 1)[0]

    def words(self, address, count):
        return self._ask(f"{address:x}", count)[1]

    def _ask(self, what, count):
        """(address, words); ValueError if there is no such answer."""
        self.child.stdin.write(f"rd -x -64 {what} {count}\n".encode())
        self.child.stdin.flush()
        deadline = time.monotonic() + self.SECONDS
        while True:
            line = self._line(deadline)
            match = re.match(rb"\s*([0-9a-f]+):((?:\s+[0-9a-f]{16})+)\s*$", line)
            if match:
                words = [int(word, 16) for word in match[2].split()]
                return int(match[1], 16), words[:count]
            if line.startswith(b"rd:"):
                raise ValueError(line)

    def _line(self, deadline):
        output = self.child.stdout.fileno()
        while b"\n" not in self.pending:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([output], [], [], left)[0]:
                raise ValueError("no answer")
            data = os.read(output, 65536)
            if not data:
                raise ValueError("crash has ended")
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return line


@functools.cache
def offsets(vmlinux):
    """Where in a task its link in the list and its name are, by the debug information."""
    member = "(long)&((struct task_struct *)0)->"
    status, output = processes.run(
        ["gdb", "-nx", "-batch", "-ex", f"p/d {member}tasks", "-ex", f"p/d {member}comm",
         vmlinux], 120)
    found = re.findall(rb"^\$\d+ = (\d+)$", output, re.M)
    if status != 0 or len(found) != 2:
        raise Unreadable("gdb does not read vmlinux: install the package gdb")
    return int(found[0]), int(found[1])


def version(tools):
    _status, output = processes.run([tools + "/crash", "--version"], 60)
    match = re.search(rb"^crash (\S+)", output, re.M)
    return "crash " + (match[1].decode() if match else "?")


class OnDisk(Dump):
    """The dump is a file of a file system."""

    driver_built_in = True
    SIZE = 1 << 30              # of an empty file, most of it

    @staticmethod
    def _image(folder):
        return folder / "disk"

    def _drive(self, folder):
        image = self._image(folder)
        with open(image, "wb") as file:
            file.truncate(self.SIZE)
        status, output = processes.run(
            [tool("mkfs.ext4"), "-q", "-F", "-E", "lazy_itable_init=0", str(image)], 120)
        if status != 0:
            raise Unreadable("mkfs.ext4 fails: " + output.decode("utf-8", "replace"))
        return ["-drive", f"if=none,id=disk,format=raw,file={image}"]

    def take(self, kind, folder, run):
        path = folder / "vmcore"
        status, output = processes.run(
            [tool("debugfs"), "-R", f"dump /vmcore.{kind} {path}",
             str(self._image(folder))], 120)
        if status != 0 or not path.exists() or not path.stat().st_size:
            raise Unreadable("it is not in the file system: "
                             + output.decode("utf-8", "replace").strip()[-200:])
        return path

    def clean(self, folder):
        self._image(folder).unlink(missing_ok=True)


def tool(name):
    """e2fsprogs live where not every user looks."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Unreadable(f"there is no {name} here: install the package e2fsprogs")
    return path


class DumpNvme(OnDisk):
    name = "dump-nvme"
    summary = "kexec_file_load, makedumpfile to an NVMe disk"
    target = "nvme"
    devices = {SOUND: "hda", DRIVERLESS_SOUND: None, TARGET: "nvme"}

    def target_device(self, folder):
        return [*self._drive(folder), "-device", "nvme,drive=disk,serial=dump,addr=4"]


class DumpVirtio(OnDisk):
    name = "dump-virtio"
    summary = "kexec_load, makedumpfile to a virtio disk behind the IOMMU"
    target = "virtio"
    load = "-c"
    devices = {SOUND: "hda", DRIVERLESS_SOUND: None, TARGET: "virtio"}

    def target_device(self, folder):
        return [*self._drive(folder), "-device",
                "virtio-blk-pci,drive=disk,addr=4,disable-legacy=on,iommu_platform=on"]


class DumpNet(Dump):
    name = "dump-net"
    summary = "kexec_file_load, makedumpfile -F through a network card (e1000e)"
    target = "net"
    devices = {SOUND: "hda", DRIVERLESS_SOUND: None, TARGET: "e1000e"}

    def target_device(self, folder):
        # QEMU is the other end: no port of the host is used, and dd ends with QEMU
        return ["-netdev", "user,id=card,restrict=on,guestfwd=tcp:10.0.2.100:9000-"
                           f"cmd:dd status=none bs=64k of={folder / 'received'}",
                "-device", "e1000e,netdev=card,addr=4"]

    def take(self, kind, folder, run):
        path = folder / "vmcore"
        received = folder / "received"
        if not received.exists():
            raise Unreadable("nothing has arrived")
        with open(received, "rb") as stream:
            status, output = processes.run(
                [self.extras["tools"] + "/makedumpfile", "-R", str(path)], 120,
                stdin=stream)
        if status != 0 or not path.exists():
            raise Unreadable("makedumpfile -R: "
                             + output.decode("utf-8", "replace").strip()[-200:])
        return path

    def clean(self, folder):
        (folder / "received").unlink(missing_ok=True)


class DumpLevels(DumpNvme):
    """Every level of the filter, and every format."""

    name = "dump-levels"
    summary = "what makedumpfile leaves out, level by level, in all of its formats"
    arms = ("framework",)
    formats = ("l0", "l1", "l2", "l4", "l8", "l16", "l23", "l31", "c31", "z31", "E0", "E31")
    timeout = 900

    def applies(self, variant, arm):
        return variant.is_default and super().applies(variant, arm)


ALL = {cls.name: cls for cls in (DumpNvme, DumpVirtio, DumpNet, DumpLevels)}
MODES = {"vtd": ("legacy", "scalable"), "amdvi": ("v1",)}
# What check runs of all this: one dump for each vendor.
SHORT = {"vtd": "dump-nvme", "amdvi": "dump-virtio"}


def table(outcomes):
    """One row for each dump."""
    rows = [["dump", "IOMMU", "kernel", "loaded", "format", "bytes", "seconds",
             "opened by", "panic", "tasks", "tables equal", "reserved", "MiB in all",
             "MiB free", "old hits", "faults", "crash hits", "verdict"]]
    for outcome in outcomes:
        result = outcome["result"]
        for found in outcome.get("findings") or [{}]:
            equal, all_of_them = found.get("tables", (0, 0))
            memory = found.get("memory") or (0, 0)
            rows.append([
                outcome["scenario"].removeprefix("dump-"),
                f"{result['iommu']}/{result['mode']}", result["kernel"],
                {"-s": "file", "-c": "load"}.get(found.get("load"), "-"),
                found.get("format", "-"), str(found.get("bytes") or "-"),
                str(found.get("seconds") or "-"), found.get("by", "-"),
                "yes" if found.get("panic") else "no", str(found.get("tasks", 0)),
                f"{equal} of {all_of_them}", found.get("crashkernel", "-"),
                *(str(kib >> 10 or "-") for kib in memory), str(result["old_hits"]),
                str(result["faults"]), str(result["crash_hits"]),
                result["verdict"]])
    return report.plain_table(rows, left=5)
