# SPDX-License-Identifier: GPL-2.0
"""Allocations of the framework that fail, in real crashes, each once.

No kernel is made for it: QEMU's debugger stops the crash kernel where the framework's own
code calls an allocator, and has it go on behind the call, as if that had failed. Where
these calls are is read from the objects of the build, so that none can be forgotten.
"""

import collections
import re
import threading

from . import build, scenarios
from .debugger import Debugger

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
    # not iommu_group_alloc_blocking_domain: that of these drivers is static
    (re.compile(r"_*xa_(insert|alloc|reserve)\w*|ida_alloc\w*|idr_alloc\w*|iommu_map|"
                r"reserve_iova_gap|sysfs_create\w*"), ENOMEM),
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
    placed = {}                         # address of each function of the kernel, by name
    for name, address, _ in kernel.functions(folder / "vmlinux"):
        placed.setdefault(name, []).append(address)
    found = {}
    for pattern in OBJECTS:
        for path in sorted(folder.glob(pattern)):
            if NOT_OBJECTS.search(str(path)):
                continue
            functions = _placed(path, list(kernel.functions(path)), placed)
            for function, address, after, callee in _calls(kernel, functions):
                value = fails_with(callee)
                if value is None:
                    continue
                where = f"{function}+{address - functions[function]:#x}:{callee}"
                found[where] = Site(address, after, value, where)
    if not found:
        raise build.RigError(f"{folder} has no call of an allocator in the framework: keep "
                             f"the objects of the build")
    return found


# What the code of one object takes at most.
OBJECT_SIZE = 1 << 17


def _placed(path, functions, placed):
    """{name: address} of an object's functions: others may have the same names."""
    functions = [one for one in functions if one[0] in placed]      # not those of __exit
    starts = {section: placed[name][0] - offset for name, offset, section in functions
              if len(placed[name]) == 1}
    found = {}
    for name, offset, section in functions:
        near = placed[name]
        if len(near) > 1 and section in starts:
            # a linker that makes calls shorter moves it a little
            expected = starts[section] + offset
            near = [min(near, key=lambda address: abs(address - expected))]
        if len(near) != 1:
            raise build.RigError(f"{path}: where {name} is in the kernel is not clear: "
                                 f"{len(near)} have that name")
        found[name] = near[0]
    return found


def _calls(kernel, functions):
    """(function, address, that of the next instruction, callee) of each call."""
    if not functions:
        return
    starts = {address: name for name, address in functions.items()}
    # what is far away is only needed at boot, in a section of its own
    for first, last in _areas(sorted(starts)):
        function = call = None
        for line in kernel.tool("objdump", "-d", "--no-show-raw-insn",
                                f"--start-address={first:#x}", f"--stop-address={last:#x}",
                                kernel.build / "vmlinux").splitlines():
            head = re.match(r"([0-9a-f]+) <\S+>:$", line)
            if head:
                function = starts.get(int(head[1], 16))
            code = re.match(r" *([0-9a-f]+):\t(\w+)\b.*?(?:<([\w.]+)>)?$", line)
            if not code:
                continue
            address = int(code[1], 16)
            if call:
                yield (*call[:2], address, call[2])
            call = function and code[3] and code[2] in CALLS and (function, address, code[3])


# Of all architectures.
CALLS = ("call", "bl", "jal", "jalr")


def _areas(addresses):
    """(first, last) that the functions at these addresses lie in."""
    first = last = addresses[0]
    for address in addresses[1:]:
        if address - last > OBJECT_SIZE:
            yield first, last + OBJECT_SIZE
            first = address
        last = address
    yield first, last + OBJECT_SIZE


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
            while stop := self.debugger.wait():
                self._on_stop(*stop)
                self.debugger.send("c")
        except ConnectionError:
            return                      # QEMU has ended
        except (OSError, ValueError) as error:
            self.problem = str(error)

    def _on_stop(self, place, thread):
        site = self.sites.get(place)
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
        self.debugger.ask(f"vCont;s:{thread}" if thread else "s")
        self.debugger.breakpoint(site.address, True)


class Starved:
    """Mixed into a scenario: the crash kernel lacks memory at one place.

    Of extras: "sites", all places; "failing", see Watcher.
    """

    blocks = True               # it may: the dump comes first
    timeout = 400               # QEMU has to keep up with a storm from each device then
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

    def steps(self, run):
        """A group that lacks memory may be blocked; any other state is the base's."""
        wanted = super().steps(run)
        if not self.extras.get("failing"):
            return wanted
        return {step: "blocked" if run.steps.get(step) == "blocked" else state
                for step, state in wanted.items()}

    def judge(self, run):
        """What else the base wants of its devices does not count: they may be blocked."""
        self.debugger.close()
        failing = self.extras.get("failing")
        self.findings = {"hits": dict(self.watcher.hits),
                         "tested": not failing or bool(self.watcher.failed)}
        if self.watcher.problem:
            return [f"QEMU's debugger: {self.watcher.problem}"]
        # which device comes first decides about a call more or less
        if failing and failing[1] == 1 and not self.watcher.failed:
            return ["nothing has failed, so nothing was tested"]
        return []


def named(name):
    """The scenario of this name, starved."""
    base = scenarios.ALL[name.removeprefix(PREFIX)]
    return type(f"Starved{base.__name__}", (Starved, base),
                {"name": name, "script": base.script or base.name})()


# Of each place: so many hits fail one by one, then the last; then all of them.
EACH = 3


def cases(hits, scenario):
    """(site, first hit, last hit) to be tried, from what a run without failures had."""
    # where all are blocked, QEMU has to keep up with a storm from each device
    together = "block" in scenario.arms
    for where, count in sorted(hits.items()):
        numbers = sorted({*range(1, min(count, EACH) + 1), count})
        for number in numbers:
            yield where, number, number
        # without any IOVA no driver works, which is nothing of the framework's
        if together and count > 1 and not where.endswith(":alloc_iova_errno"):
            yield where, 1, 1 << 30


def words(case):
    """One of cases(), for people."""
    where, first, last = case
    return f"{where} fails, " + (f"call {first}" if first == last else "all calls")
