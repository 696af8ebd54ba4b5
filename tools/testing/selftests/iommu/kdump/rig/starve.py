# SPDX-License-Identifier: GPL-2.0
"""Allocations of the framework that fail, in real crashes, each once.

No kernel is made for it: QEMU's debugger stops the crash kernel where the framework's own
code calls an allocator, and has it go on behind the call, as if that had failed. Where
these calls are is read from the objects of the build, so that none can be forgotten.
"""

import collections
import os
import re
import socket
import threading

from . import build, processes, scenarios

PREFIX = "starve-"
# Of the core and the drivers' own part, as patterns below the folder of a build.
OBJECTS = ("drivers/iommu/kdump/*.o", "drivers/iommu/*/kdump.o",
           "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-kdump.o")
# KUnit tests and what people see; parts that are linked again into a whole
NOT_OBJECTS = re.compile(r"_kunit\.o$|/built-in\.o$|\.mod\.o$|/status\.o$|/trace\.o$")

ENOMEM = -12
# What each allocator gives when it fails.
FAILS = (
    (re.compile(r"_*(k|kv|vz|v|kvz|kz)(m|re|z|c)?alloc\w*|kmem_cache_alloc\w*|kmemdup\w*|"
                r"kasprintf|kstrdup\w*|_*get_free_pages\w*|get_zeroed_page\w*|alloc_pages\w*|"
                r"iommu_alloc_pages\w*|memremap|ioremap\w*|bitmap_\w*alloc\w*|"
                r"dma_alloc\w*|dmam_alloc\w*|kobject_create\w*"), 0),
    (re.compile(r"_*xa_store\w*"), (ENOMEM << 2) | 2),
    (re.compile(r"_*xa_(insert|alloc|reserve)\w*|ida_alloc\w*|idr_alloc\w*|iommu_map|"
                r"iommu_group_alloc_blocking_domain|reserve_iova_gap|sysfs_create\w*"), ENOMEM),
    (re.compile(r"alloc_iova_errno|reserve_iova"), ENOMEM),
)

# address: of the call; after: of what follows; value: what a failing one gives
Site = collections.namedtuple("Site", "address after value where")


def fails_with(name):
    """What a function gives when it cannot allocate; None if it allocates nothing."""
    return next((value for pattern, value in FAILS if pattern.fullmatch(name)), None)


def sites(kernel):
    """All places where the framework allocates, as {name: Site}."""
    folder = kernel.build
    placed = {}                         # (function, size): its address in the kernel
    for name, size, address in _functions(kernel, folder / "vmlinux"):
        placed.setdefault((name, size), []).append(address)
    found = {}
    for pattern in OBJECTS:
        for path in sorted(folder.glob(pattern)):
            if NOT_OBJECTS.search(str(path)):
                continue
            sizes = {name: size for name, size, _ in _functions(kernel, path)}
            for function, offset, length, callee in _calls(kernel, path):
                value = fails_with(callee)
                if value is None:
                    continue
                addresses = placed.get((function, sizes.get(function)), ())
                if len(addresses) != 1:
                    raise build.RigError(f"{path}: where {function} is in the kernel is not "
                                         f"clear: {len(addresses)} of that name and size")
                where = f"{function}+{offset:#x}:{callee}"
                found[where] = Site(addresses[0] + offset, addresses[0] + offset + length,
                                    value, where)
    if not found:
        raise build.RigError(f"{folder} has no call of an allocator in the framework: keep "
                             f"the objects of the build")
    return found


def _output(words):
    status, output = processes.run(words, 300)
    if status != 0:
        raise build.RigError(f"{words[0]} fails: install the package binutils")
    return output.decode("utf-8", "replace")


def _functions(kernel, path):
    """(name, size, address) of each function."""
    for line in _output([f"{kernel.arch.TOOLS}readelf", "-sW", str(path)]).splitlines():
        words = line.split()
        if len(words) >= 8 and words[3] == "FUNC":
            yield words[7], int(words[2], 0), int(words[1], 16)


def _calls(kernel, path):
    """(function, offset, length of the instruction, callee) of each call."""
    function = start = offset = None
    for line in _output([f"{kernel.arch.TOOLS}objdump", "-dr", "--no-show-raw-insn",
                         str(path)]).splitlines():
        head = re.match(r"([0-9a-f]+) <(\S+)>:$", line)
        if head:
            start, function = int(head[1], 16), head[2]
            continue
        code = re.match(r" +([0-9a-f]+):\t(\w+)", line)
        if code:
            offset = int(code[1], 16) - start if code[2] in ("call", "bl") else None
            continue
        target = re.match(r"\t+[0-9a-f]+: R_(X86_64_PLT32|X86_64_PC32|AARCH64_CALL26)\t"
                          r"([\w.]+)", line)
        if target and offset is not None:
            yield function, offset, 5 if target[1].startswith("X86") else 4, target[2]
            offset = None


class Debugger:
    """As much of gdb's remote protocol as is needed, to QEMU's end of a socket."""

    # numbers of the registers for a result and for the program counter
    REGISTERS = {"x86": (0, 16), "arm": (0, 32)}

    def __init__(self, path, architecture):
        self.path = path
        self.result, self.counter = self.REGISTERS[architecture.NAME]
        self.socket = None
        self.pending = b""

    def arguments(self):
        return ["-chardev", f"socket,id=debugger,path={self.path},server=on,wait=off",
                "-gdb", "chardev:debugger"]

    def connect(self):
        """The machine stands still from then on."""
        self.socket = socket.socket(socket.AF_UNIX)
        # the path of a socket must be short
        here = os.open(os.path.dirname(self.path), os.O_RDONLY)
        try:
            self.socket.connect(f"/proc/self/fd/{here}/{os.path.basename(self.path)}")
        finally:
            os.close(here)
        # what comes before the answer is that the machine has stopped
        self.send("qSupported")
        while "PacketSize" not in (self.receive() or "PacketSize"):
            pass
        # without having told which registers there are QEMU does not let them be read alone
        self.ask("qXfer:features:read:target.xml:0,ffb")

    def send(self, text):
        data = text.encode()
        self.socket.sendall(b"$%s#%02x" % (data, sum(data) & 0xff))

    def receive(self):
        """The next packet; None when QEMU has gone."""
        while True:
            match = re.search(rb"\$([^#]*)#..", self.pending)
            try:
                if match:
                    self.pending = self.pending[match.end():]
                    self.socket.sendall(b"+")
                    return match[1].decode()
                data = self.socket.recv(4096)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self.pending += data

    def ask(self, text):
        self.send(text)
        answer = self.receive()
        if not answer or answer.startswith("E"):
            raise ConnectionError(f"QEMU's debugger to {text}: {answer}")
        return answer

    def breakpoint(self, address, on):
        self.ask(f"{'Z' if on else 'z'}0,{address:x},1")

    def read(self, register):
        return int.from_bytes(bytes.fromhex(self.ask(f"p{register:x}")), "little")

    def write(self, register, value):
        self.ask(f"P{register:x}=" + (value & (1 << 64) - 1).to_bytes(8, "little").hex())

    def close(self):
        if self.socket:
            self.socket.close()


class Watcher(threading.Thread):
    """Counts what is allocated from the panic on, and lets some of it fail."""

    def __init__(self, debugger, places, failing):
        """failing: (name of a site, first hit, last hit) that fail, or None."""
        super().__init__(daemon=True)
        self.debugger = debugger
        self.sites = {site.address: site for site in places}
        self.failing = failing
        self.hits = collections.Counter()
        self.failed = 0
        self.problem = None
        debugger.connect()
        for address in self.sites:
            debugger.breakpoint(address, True)
        debugger.send("c")

    def run(self):
        try:
            while True:
                stop = self.debugger.receive()
                if stop is None or stop.startswith(("W", "X")):
                    return
                self._on_stop(stop)
                self.debugger.send("c")
        except ConnectionError:
            return                      # QEMU has ended
        except (OSError, ValueError) as error:
            self.problem = str(error)

    def _on_stop(self, stop):
        thread = re.search(r"thread:([^;]+);", stop)
        if thread:
            self.debugger.ask(f"Hg{thread[1]}")
        site = self.sites.get(self.debugger.read(self.debugger.counter))
        if not site:
            return
        self.hits[site.where] += 1
        if self.failing and site.where == self.failing[0] and \
                self.failing[1] <= self.hits[site.where] <= self.failing[2]:
            self.failed += 1
            self.debugger.write(self.debugger.result, site.value)
            self.debugger.write(self.debugger.counter, site.after)
            return
        # the instruction itself, without the breakpoint
        self.debugger.breakpoint(site.address, False)
        self.debugger.ask(f"vCont;s:{thread[1]}" if thread else "s")
        self.debugger.breakpoint(site.address, True)


class Starved:
    """Mixed into a scenario: the crash kernel lacks memory at one place.

    Of extras: "sites", all places; "failing", see Watcher.
    """

    blocks = True               # it may: the dump comes first
    start_afresh = ()

    def qemu_devices(self, wires, folder):
        self.debugger = Debugger(str(folder / "debugger"), self.variant.arch)
        return super().qemu_devices(wires, folder) + self.debugger.arguments()

    def before_panic(self, run):
        super().before_panic(run)
        self.watcher = Watcher(self.debugger,
                               [Site(*site) for site in self.extras["sites"]],
                               self.extras.get("failing"))
        self.watcher.start()

    def judge(self, run):
        """What the base wants of groups does not count: one that lacks memory is blocked."""
        self.debugger.close()
        self.findings = {"hits": dict(self.watcher.hits)}
        if self.watcher.problem:
            return [f"QEMU's debugger: {self.watcher.problem}"]
        if self.extras.get("failing") and not self.watcher.failed:
            return ["nothing has failed, so nothing was tested"]
        return []


def named(name):
    """The scenario of this name, starved."""
    base = scenarios.ALL[name.removeprefix(PREFIX)]
    return type(f"Starved{base.__name__}", (Starved, base),
                {"name": name, "script": base.script or base.name})()


# Of each place: so many hits fail one by one, then the last; then all of them.
EACH = 3


def cases(hits):
    """(site, first hit, last hit) to be tried, from what a run without failures had."""
    for where, count in sorted(hits.items()):
        numbers = sorted({*range(1, min(count, EACH) + 1), count})
        for number in numbers:
            yield where, number, number
        if count > 1:
            yield where, 1, 1 << 30


def words(case):
    """One of cases(), for people."""
    where, first, last = case
    return f"{where} fails, " + (f"call {first}" if first == last else "all calls")
