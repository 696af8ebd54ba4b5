#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run the benchmarks, judge them, and write OUT/bench.json and a picture.

bench.sh builds what this one runs: the KUnit kernel with the benchmarks, and four
kernels for virtual machines: with the framework, unmodified, and both without
CRASH_DUMP ("off"), which compiles the framework out. Everything that is counted runs
under QEMU's -icount, where a nanosecond of the machine is an instruction, so that two
runs give the same and the host may do other things meanwhile.
"""

import argparse
import gzip
import json
import math
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True          # the source tree stays clean

HERE = pathlib.Path(__file__).resolve().parent
RIG = HERE.parent / "tools/testing/selftests/iommu/kdump"
sys.path.insert(0, str(RIG))

from rig import build, processes  # noqa: E402
from rig.arch import riscv, x86  # noqa: E402

GIB = 1 << 30
MIB = 1 << 20
KIB = 1 << 10

QEMU = os.environ.get("QEMU", "qemu-system-x86_64")
# Of Student's t for 19 degrees of freedom, two-sided, 95 %
T_19 = 2.093

# Functions of a host that runs with iommu=pt
MANY = (16, 64, 256)

# What each kernel is measured against: the unmodified one with the same options
UNMODIFIED = {"framework": "mainline", "off": "mainline-off",
              "framework-riscv": "mainline-riscv"}
# Of the instructions for a mapping. On RISC-V they are three more of 2,700, which the
# compiler adds around the call for old IOVAs that a normal kernel never makes.
MAP_LIMITS = {"framework-riscv": 1.002}

# The machine of each architecture, with its IOMMU
MACHINES = {
    "x86": ["-machine", "q35", "-machine", "kernel-irqchip=split",
            "-device", "intel-iommu,intremap=on"],
    "riscv": ["-machine", "virt,iommu-sys=on,aia=aplic-imsic"],
}

# The patches that change normal boots and say why, in the order to take them out again
MEANT = [HERE.parent / "patches" / name for name in
         ("iommu-remove-deferred-attach.patch", "iommu-park-device.patch",
          "iova-low-limit.patch")]


class BenchError(Exception):
    """Something the user has to put right; the text says what and how."""


def say(text):
    print(text, flush=True)


class Results:
    """Every figure: what was measured, what it must reach, and if it does."""

    def __init__(self):
        self.figures = []
        self.raw = {}

    def add(self, part, figure, value, limit=None, unit="", at_least=False,
            note=""):
        """A figure without a limit is there for comparison."""
        ok = None
        if value is None:
            ok = False
        elif limit is not None:
            ok = value >= limit if at_least else value <= limit
        self.figures.append({"part": part, "figure": figure, "value": value,
                             "unit": unit, "limit": limit, "at_least": at_least,
                             "ok": ok, "note": note})

    def print_table(self):
        rows = [("part", "figure", "measured", "limit", "verdict", "")]
        for figure in self.figures:
            limit = ""
            if figure["limit"] is not None:
                sign = ">=" if figure["at_least"] else "<="
                limit = f"{sign} {show(figure['limit'])}"
            verdict = {None: "", True: "ok", False: "MISSED"}[figure["ok"]]
            value = "not measured" if figure["value"] is None else \
                f"{show(figure['value'])} {figure['unit']}".strip()
            rows.append((figure["part"], figure["figure"], value, limit, verdict,
                         figure["note"]))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in
                            zip(row, widths + [0])).rstrip())

    def count(self):
        judged = [figure["ok"] for figure in self.figures
                  if figure["ok"] is not None]
        return judged.count(True), judged.count(False)


def show(value):
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" \
        if abs(value) < 0.1 else f"{value:.2f}"


def parse_lines(lines):
    """[(name, {key: value})] of the lines "bench NAME KEY=VALUE..." of a log."""
    found = []
    for line in lines:
        match = re.search(r"\bbench (\w+)((?: [\w-]+=[^ ]+)+)", line)
        if not match:
            continue
        values = {}
        for word in match[2].split():
            key, value = word.split("=", 1)
            values[key] = int(value) if value.isdigit() else value
        found.append((match[1], values))
    return found


class Boot:
    """One virtual machine, from its start to its end, with a line now and then."""

    def __init__(self, what, command, log, timeout):
        self.what = what
        self.command = command
        self.log = log
        self.timeout = timeout
        self.lines = []                 # (host time, line)
        self.seconds = 0

    def run(self):
        began = said = time.monotonic()
        child = processes.start(self.command, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            os.set_blocking(child.stdout.fileno(), False)
            pending = b""
            with open(self.log, "w", encoding="utf-8") as log:
                while True:
                    try:
                        data = os.read(child.stdout.fileno(), 65536)
                    except BlockingIOError:
                        data = None
                    now = time.monotonic()
                    if data == b"":
                        break
                    if data is None:
                        if now - began > self.timeout:
                            raise BenchError(
                                f"{self.what}: no end within {self.timeout} seconds: "
                                f"see the last lines of {self.log}")
                        if now - said >= 30:
                            said = now
                            say(f"{self.what}: {now - began:.0f} s, "
                                f"{len(parse_lines(line for _, line in self.lines))}"
                                f" results")
                        time.sleep(0.01)
                        continue
                    *complete, pending = (pending + data).split(b"\n")
                    for line in complete:
                        text = line.decode("utf-8", "replace").rstrip("\r")
                        self.lines.append((now, text))
                        log.write(text + "\n")
        finally:
            processes.end(child)
        self.seconds = time.monotonic() - began
        return self

    def results(self):
        return parse_lines(line for _, line in self.lines)

    def must_be_clean(self, pattern=r"bench error|Kernel panic|Oops|BUG: |WARNING: "):
        for _, line in self.lines:
            if re.search(pattern, line):
                raise BenchError(f"{self.what}: {line.strip()} (log: {self.log})")
        return self


# KUnit

def boot_kunit(build_dir, suite, memory, arguments, log, timeout):
    command = [QEMU, "-nodefaults", "-m", memory, "-no-reboot", "-nographic",
               "-accel", "tcg", "-icount", "shift=0,sleep=off",
               "-bios", "qboot.rom", "-serial", "stdio",
               "-kernel", str(build_dir / "arch/x86/boot/bzImage"),
               "-append", f"console=ttyS0 kunit.enable=1 kunit_shutdown=reboot "
                          f"kunit.filter_glob={suite} kunit.timeout=3600 {arguments}"]
    boot = Boot(f"KUnit, {memory} MiB", command, log, timeout).run()
    text = "\n".join(line for _, line in boot.lines)
    failed = re.findall(r"^ *not ok \d+ (\w+).*$", text, re.M)
    reasons = [line.strip() for _, line in boot.lines if "EXPECTATION FAILED" in line or
               "ASSERTION FAILED" in line]
    if failed:
        say(f"{boot.what}: failed: {', '.join(failed)} {' '.join(reasons[:3])} "
            f"(log: {log})")
    elif not re.search(r"^ok \d+ iommu_kdump_", text, re.M):
        raise BenchError(f"the KUnit kernel has not got to its end: see {log}")
    oom = [line for _, line in boot.lines if "invoked oom-killer" in line]
    return boot.results(), failed, len(oom)


def judge_takeover(results, lines):
    own = {}
    for values in lines:
        groups = values["groups"]
        results.add("take-over", f"time, {groups:,} groups, to without",
                    values["with"] / values["without"], 1.1,
                    note=f"{values['with'] // groups:,} instructions each")
        results.add("take-over", f"memory per group and device, {groups:,} groups",
                    values["bytes"] / groups, 512, "bytes")
        own[groups] = (values["with"] - values["without"]) / groups
    # The core itself gets slower with many groups: only what is added counts
    if 1024 in own and 16384 in own:
        results.add("take-over", "what is added for each group, 16,384 to 1,024",
                    max(own[16384], 0) / max(own[1024], 1), 1.5,
                    note=f"{own[16384]:.0f} and {own[1024]:.0f} instructions")


def in_the_middle(lines, keys, figure):
    """Of lines that are alike in these keys the one with the median of a figure."""
    alike = {}
    for values in lines:
        alike.setdefault(tuple(values[key] for key in keys), []).append(values)
    return [sorted(some, key=figure)[len(some) // 2] for some in alike.values()]


def imports_in_the_middle(lines):
    return in_the_middle(lines, ("format", "layout", "size"),
                         lambda values: values["ns"] / max(1, values["floor"]))


def judge_import(results, lines):
    for values in imports_in_the_middle(lines):
        layout, size = values["layout"], values["size"]
        name = f"{layout}, {size // GIB} GiB" if size >= GIB else \
            f"{layout}, {size // MIB} MiB"
        if values["format"] != "vtdss":
            name = f"{values['format']}, {name}"
        per_gib = values["new_bytes"] / max(1, size / GIB)
        scattered = layout in ("scattered", "mix")
        results.add("import", f"{name}: new tables per GiB", per_gib / KIB,
                    2.1 * KIB if scattered else 16, "KiB")
        results.add("import", f"{name}: time to a linear read",
                    values["ns"] / values["floor"] if values["floor"] else None, 3)
        if values["control"]:
            results.add("import", f"{name}: control, iommu_map() for each page",
                        values["control"] / values["floor"],
                        note=f"{values['control'] / values['ns']:.1f} times the "
                             f"import")


def judge_largest(results, lines, oom):
    for values in lines:
        if values["layout"] == "runs":
            results.add("largest host", "1 TiB in runs of 64 MiB: carried",
                        values["mapped"] / (1 << 40), 1, "TiB", at_least=True,
                        note=f"of {values['ram'] // MIB} MiB")
            results.add("largest host", "1 TiB in runs of 64 MiB: new tables",
                        values["new_bytes"] / values["ram"], 0.125, "of the memory",
                        note=f"{values['new_bytes'] // KIB:,} KiB")
        else:
            results.add("largest host", "64 GiB scattered: blocked, carried",
                        values["mapped"], 0, "bytes")
    results.add("largest host", "OOM kills", oom +
                max((values["ooms"] for values in lines), default=0), 0)


def judge_reserve(results, lines, gaps):
    framework = {v["ranges"]: v["ns"] for v in lines if v["how"] == "framework"}
    plain = {v["ranges"]: v["ns"] for v in lines if v["how"] == "plain"}
    few = min(framework)
    for ranges, ns in sorted(framework.items()):
        results.add("reservation", f"{ranges:,} ranges: time per range, to {few:,}",
                    ns / ranges / (framework[few] / few), 1.5,
                    note=f"{ns // ranges:,} instructions each")
    for ranges, ns in sorted(plain.items()):
        results.add("reservation", f"{ranges:,} ranges: control, reserve_iova()",
                    ns / framework[ranges], note="times the framework's")
    small = {}
    for values in gaps:
        merged = values["gap"] < 64 * KIB
        if not merged:
            continue
        small[values["mappings"]] = values["ns"] / values["mappings"]
        results.add("reservation", f"{values['mappings']:,} mappings with small gaps: "
                    f"ranges", values["ranges"], 1)
    if small:
        first = min(small)
        last = max(small)
        results.add("reservation", f"{last:,} mappings with small gaps: time per "
                    f"mapping, to {first:,}", small[last] / small[first], 1.5)


def judge_space(results, lines):
    for values in lines:
        name = f"{round(values['inherited'] / GIB)} GiB inherited"
        results.add("IOVA space", f"{name}: a 32-bit device gets",
                    values["mapped_until_exhausted"] / MIB, 512, "MiB",
                    at_least=True,
                    note=f"{values['given_back_at_512M']} ranges given back at "
                         f"512 MiB, {values['given_back']} in the end")


def judge_speed(results, lines):
    for values in lines:
        results.add("allocation", f"{values['size'] // KIB} KiB, {values['burst']} at "
                    f"a time, 10,000 ranges to none",
                    values["with"] / values["without"], 1.1)


def run_kunit(results, options, work):
    found, failed, _ = boot_kunit(
        options.kunit, "iommu_kdump_bench", "2048",
        "mem=1024M bench_kunit.oldmem=0x40000000 bench_kunit.oldmem_size=0x40000000",
        work / "kunit.log", options.timeout)
    # As after a crash with crashkernel=256M
    more, failed_more, oom = boot_kunit(options.kunit, "iommu_kdump_largest", "256", "",
                                        work / "largest.log", options.timeout)
    found += more
    lines = {}
    for name, values in found:
        lines.setdefault(name, []).append(values)
    results.raw["kunit"] = lines
    results.add("KUnit", "benchmarks that failed", len(failed + failed_more), 0,
                note=", ".join(failed + failed_more))
    judge_takeover(results, lines.get("takeover", []))
    judge_import(results, lines.get("import", []))
    judge_largest(results, lines.get("largest", []), oom)
    if "reserve" in lines:
        judge_reserve(results, lines["reserve"], lines.get("gaps", []))
    judge_space(results, lines.get("space", []))
    judge_speed(results, lines.get("speed", []))
    for name in ("takeover", "import", "largest", "reserve", "gaps", "space", "speed"):
        if name not in lines:
            results.add("KUnit", f"results of {name}", None)


# Virtual machines

class Guest:
    """A kernel and what it needs to run what is in RIG/bench."""

    def __init__(self, name, build_dir, work, arch=x86):
        self.name = name
        self.arch = arch
        self.build = build_dir
        self.work = work / name
        self.out = work.parent.parent
        self.release = (build_dir / "include/config/kernel.release") \
            .read_text(encoding="ascii").strip()
        self.image = build_dir / arch.IMAGE
        self.initrd = self.work / "initrd"

    def prepare(self):
        say(f"{self.name}: initramfs")
        modules = self.work / "modules"
        shutil.rmtree(self.work, ignore_errors=True)
        modules.mkdir(parents=True)
        for source in ("map_pairs.c", "Makefile"):
            shutil.copyfile(RIG / "bench" / source, modules / source)
        compiler = f"{self.arch.TOOLS}gcc"
        if shutil.which("ccache"):
            compiler = f"ccache {compiler}"
        must(["make", "-s", "-C", str(self.build), f"M={modules}", f"CC={compiler}",
              *self.arch.MAKE_WORDS, "modules"])
        programs = {"crash_load": RIG / "guest/crash_load.c"}
        # crashes are timed on x86 only
        if self.arch is x86:
            programs["dump_clock"] = RIG / "bench/dump_clock.c"
        tree = (self.build / "source").resolve()
        programs["dma_map_benchmark"] = tree / "tools/dma/dma_map_benchmark.c"
        header = self.work / "include/linux"
        header.mkdir(parents=True)
        shutil.copy(tree / "include/uapi/linux/map_benchmark.h", header)
        for program, source in programs.items():
            must([self.arch.compiler(), "-static", "-Os", "-s",
                  f"-idirafter{self.work / 'include'}",
                  "-o", str(self.work / program), str(source)])

        with tempfile.TemporaryDirectory(dir=self.work) as scratch:
            root = pathlib.Path(scratch) / "root"
            library = root / "lib/modules" / self.release
            for folder in (root / "bin", root / "dev", library):
                folder.mkdir(parents=True)
            shutil.copy(self.arch.busybox(self.out), root / "bin/busybox")
            for program in programs:
                shutil.copy(self.work / program, root / "bin")
            for module in (self.build / "drivers/net/ethernet/intel/e1000e/e1000e.ko",
                           modules / "map_pairs.ko"):
                shutil.copy(module, library)
            for name in ("modules.builtin", "modules.order"):
                shutil.copy(self.build / name, library)
            must(["/sbin/depmod", "-b", str(root), self.release])
            shutil.copy(RIG / "bench/init", root / "init")
            crash = gzip.compress(build._cpio(root), 1, mtime=0)
            boot = pathlib.Path(scratch) / "first/boot"
            boot.mkdir(parents=True)
            shutil.copy(self.image, boot / "bzImage")
            (boot / "initrd").write_bytes(crash)
            self.initrd.write_bytes(build._pad(crash) + build._cpio(boot.parent))

    def boot(self, bench, icount, log, timeout=900, qemu=None, cpu="max", more=(),
             words=""):
        qemu = qemu or os.environ.get(self.arch.QEMU_VARIABLE) or \
            (QEMU if self.arch is x86 else self.out / self.arch.NEWER_QEMU)
        command = [str(qemu), "-nodefaults", "-display", "none", "-no-reboot",
                   *MACHINES[self.arch.NAME], "-accel", "tcg", "-cpu", cpu, "-smp", "1",
                   "-m", str(max(512, self.arch.LEAST_MIB)), "-kernel", str(self.image), "-initrd",
                   str(self.initrd), "-append",
                   f"console=ttyS0,115200 printk.devkmsg=on panic=-1 "
                   f"crashkernel=192M no_timer_check intel_iommu=on "
                   f"bench={bench} {words}",
                   "-serial", "stdio", "-device", "edu,addr=6", "-device", "e1000e,addr=3,netdev=n0",
                   "-netdev", "user,id=n0,restrict=on", *more]
        if icount:
            command += ["-icount", "shift=0,sleep=off", "-rtc",
                        "base=2026-01-01,clock=vm"]
        return Boot(f"{self.name}, {bench}", command, log, timeout).run()


def must(command):
    kept = ("PATH", "HOME", "TMPDIR")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, stdin=subprocess.DEVNULL,
                          env={name: value for name, value in os.environ.items()
                               if name in kept or name.startswith("CCACHE_")})
    if done.returncode:
        raise BenchError(f"{' '.join(command)} fails:\n"
                         f"{done.stdout.decode('utf-8', 'replace')[-2000:]}")


def latency(line):
    """Of the kernel's own benchmark: (average, standard deviation), map and unmap."""
    return [(float(mean), float(deviation)) for mean, deviation in re.findall(
        r"latency\(us\):([\d.]+) standard deviation:([\d.]+)", line)]


def run_map(results, guests, work):
    pairs, own = {}, {}
    for guest in guests.values():
        boot = guest.boot("map", True, work / f"map-{guest.name}.log").must_be_clean()
        # the first of two for the same size has filled the caches
        pairs[guest.name] = {values["size"]: values
                             for name, values in boot.results() if name == "pairs"}
        own[guest.name] = {}
        for _, line in boot.lines:
            match = re.search(r"bench own mode=(\d) granule=(\d+) (.*)", line)
            if match and latency(match[3]):
                own[guest.name][f"{['single', 'sg'][int(match[1])]} "
                                f"{match[2]}"] = latency(match[3])
    results.raw.setdefault("pairs", {}).update(pairs)
    results.raw.setdefault("own", {}).update(own)
    for name, unmodified in UNMODIFIED.items():
        if name not in pairs:
            continue
        for size, values in pairs[name].items():
            base = pairs[unmodified][size]["median"]
            results.add("normal kernel", f"{name}: map and unmap {size // KIB} KiB, "
                        f"instructions to unmodified", values["median"] / base,
                        MAP_LIMITS.get(name, 1.0),
                        note=f"{values['median']:,} and {base:,}")
        for case, ((mapped, _), (unmapped, _)) in own[name].items():
            (base_map, deviation), (base_unmap, _) = own[unmodified][case]
            results.add("normal kernel", f"{name}: the kernel's benchmark, {case}, "
                        f"to unmodified", (mapped + unmapped) / (base_map + base_unmap),
                        1.0 + max(0.1, deviation) / (base_map + base_unmap),
                        note=f"{mapped:.1f}+{unmapped:.1f} us and {base_map:.1f}+"
                             f"{base_unmap:.1f} us, in steps of 0.1")
        if not own[name]:
            results.add("normal kernel", f"{name}: the kernel's benchmark", None)


def riscv_guests(options, work):
    """For a normal kernel's mappings there."""
    guests = {}
    for name in ("mainline-riscv", "framework-riscv"):
        build_dir = getattr(options, name.replace("-", "_"))
        if not build_dir:
            raise BenchError(f"the part riscv needs --{name}")
        guests[name] = Guest(name, build_dir.resolve(), work, riscv)
        guests[name].prepare()
    return guests


def panic_to_dump(boot):
    """(time stamp counter, host's seconds) between the two lines."""
    seen = {}
    for when, line in boot.lines:
        match = re.search(r"bench (panic|dump) tsc=(\d+)", line)
        if match:
            seen[match[1]] = (when, int(match[2]))
    if len(seen) < 2:
        raise BenchError(f"{boot.what}: no dump: see {boot.log}")
    return (seen["dump"][1] - seen["panic"][1], seen["dump"][0] - seen["panic"][0])


def run_panic(results, guests, work, pairs):
    counted = {"mainline": [], "framework": []}
    for i in range(3):
        for name, ticks in counted.items():
            boot = guests[name].boot("panic", True, work / f"panic-{name}-{i}.log")
            boot.must_be_clean("bench error")
            ticks.append(panic_to_dump(boot)[0])
    results.raw["panic_instructions"] = counted
    medians = {name: statistics.median(ticks) for name, ticks in counted.items()}
    results.add("panic to dump", "instructions, framework to unmodified",
                medians["framework"] / medians["mainline"], 1.02,
                note=f"{medians['framework']:,} and {medians['mainline']:,}")

    wall = {"mainline": [], "framework": []}
    for i in range(pairs):
        for name in sorted(wall, reverse=i % 2 == 0):
            boot = guests[name].boot("panic", False, work / f"wall-{name}.log")
            boot.must_be_clean("bench error")
            wall[name].append(panic_to_dump(boot)[1])
        say(f"panic to dump: pair {i + 1} of {pairs}")
    results.raw["panic_seconds"] = wall
    if pairs > 1:
        ratios = [a / b for a, b in zip(wall["framework"], wall["mainline"])]
        mean = statistics.mean(ratios)
        error = (T_19 if pairs == 20 else 2.3) * statistics.stdev(ratios) / \
            math.sqrt(pairs)
        results.add("panic to dump", f"wall time of {pairs} pairs, to unmodified", mean,
                    note=f"{mean - error:.3f} to {mean + error:.3f} (95 %); "
                         f"{statistics.mean(wall['framework']):.2f} s and "
                         f"{statistics.mean(wall['mainline']):.2f} s")


# Hosts that run with iommu=pt

def many_functions(number):
    """Root ports, which have ACS, and behind each of them a device: all of them in groups
    of their own. The firmware puts devices high up if there is much memory."""
    words = ["-m", "6G", "-global", "q35-pcihost.pci-hole64-size=50T",
             "-device", "pci-testdev,addr=7,membar=1G"]
    for port in range(number // 2):
        words += ["-device", f"pcie-root-port,id=port{port},bus=pcie.0,"
                             f"addr={8 + port // 8:x}.{port % 8},multifunction=on,"
                             f"chassis={1 + port},io-reserve=0",
                  "-device", f"edu,bus=port{port}"]
    return words


def first_process(boot):
    """(instructions from the panic to the first process, its free KiB, groups, those of
    them that carry)."""
    seen = {name: values for name, values in boot.results()
            if name in ("panic", "first", "memory", "functions")}
    if len(seen) < 4:
        raise BenchError(f"{boot.what}: no first process: see {boot.log}")
    return (seen["first"]["tsc"] - seen["panic"]["tsc"], seen["memory"]["free"],
            seen["functions"]["groups"], seen["functions"]["carry"])


def run_identity(results, guests, work, qemu):
    """What a host without translation costs that has many functions, and addresses
    up to 2^46."""
    if not qemu.exists():
        results.add("iommu=pt", "panic to first process, to unmodified", None,
                    note="address windows near 2^46 need QEMU 11")
        return
    counted = {"mainline": {}, "framework": {}}
    for number in MANY:
        for name, seen in counted.items():
            boot = guests[name].boot("identity", True, work / f"pt-{name}-{number}.log",
                                     qemu=qemu, cpu="max,phys-bits=46",
                                     more=many_functions(number), words="iommu=pt")
            boot.must_be_clean("bench error")
            seen[number] = first_process(boot)
            say(f"iommu=pt, {number} functions, {name}: {seen[number][0]:,} instructions")
    results.raw["identity"] = counted
    for number in MANY:
        ours, base = counted["framework"][number], counted["mainline"][number]
        results.add("iommu=pt", f"panic to first process, {number} functions, "
                    f"instructions to unmodified", ours[0] / base[0], 1.05,
                    note=f"{ours[0]:,} and {base[0]:,}; address windows up to 2^46")
        results.add("iommu=pt", f"memory taken before userspace, {number} functions, "
                    f"of each group", (base[1] - ours[1]) / ours[2], 64, "KiB",
                    note=f"{ours[2]} groups, of which {ours[3]} carry: "
                         f"{(base[1] - ours[1]) / max(1, ours[3]):.0f} KiB of each of "
                         f"those")


# The kernels as files

def sections(build_dir):
    """Sizes of text, data and bss of vmlinux."""
    output = subprocess.run(["size", str(build_dir / "vmlinux")], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    return dict(zip(("text", "data", "bss"),
                    map(int, output.splitlines()[1].split()[:3])))


# What is allocated for each device
STRUCTS = {"drivers/iommu/iommu.o": ("device", "dev_iommu", "group_device"),
           "drivers/iommu/intel/iommu.o": ("device_domain_info",),
           "drivers/iommu/amd/iommu.o": ("iommu_dev_data",)}


def compile_again(build_dir, name, target, change):
    """Compile an object of a build to another place, with another command."""
    saved = (build_dir / name).with_name(f".{pathlib.Path(name).name}.cmd")
    command = saved.read_text(encoding="utf-8").split("\n", 1)[0].split(":=", 1)[1]
    command = re.sub(r" -Wp,-MMD,\S+", "", command).strip()
    command = change(re.sub(rf"(?<!\S){re.escape(name)}(?!\S)", str(target), command))
    done = subprocess.run(command, shell=True, cwd=build_dir, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode or not target.exists():
        raise BenchError(f"{name} cannot be compiled again: "
                         f"{done.stdout.decode()[-500:]}")


def struct_sizes(build_dir, scratch):
    """Size of what is allocated for each device, from objects with debug information."""
    sizes = {}
    for name, structs in STRUCTS.items():
        target = scratch / "with-debug.o"
        compile_again(build_dir, name, target,
                      lambda command: command.split(";")[0].replace(" -c ", " -g -c "))
        dwarf = subprocess.run(["readelf", "--debug-dump=info", str(target)],
                               check=True, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True).stdout
        for struct in structs:
            match = re.search(
                rf"\(DW_TAG_structure_type\)\n.*DW_AT_name *: (?:\([^)]*\): )?"
                rf"{struct}\n.*DW_AT_byte_size *: (\w+)", dwarf)
            if not match:
                raise BenchError(f"no struct {struct} in {name}")
            sizes[struct] = int(match[1], 0)
    return sizes


def normalised_functions(path):
    """{function: instructions} of an object, without what moves when others change."""
    functions = {}
    listing = subprocess.run(
        ["objdump", "-dr", "--no-show-raw-insn", "-j", ".text", "-j", ".init.text",
         "-j", ".exit.text", str(path)], check=False,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    current = None
    for line in listing.splitlines():
        start = re.match(r"^[0-9a-f]+ <([^>]+)>:$", line)
        if start:
            # numbers that the compiler gives to parts and clones
            current = functions.setdefault(
                re.sub(r"\.(isra|part|cold|constprop)\.?\d*", r".\1", start[1]), [])
        elif current is not None and line.strip() and ":" in line:
            instruction = normalised(line)
            if instruction != "nop":    # padding
                current.append(instruction)
    return functions


def compiled_objects(build_dir, folder):
    """{name: path} of the objects that were compiled in a folder of a build."""
    return {str(path.relative_to(build_dir)): path
            for path in sorted((build_dir / folder).rglob("*.o"))
            if path.name != "built-in.o" and not path.name.startswith(("vmlinux", "."))
            and not path.with_suffix(".mod").exists()}


def normalised(line):
    text = line.split(":", 1)[1].strip()
    relocation = re.match(r"(R_X86_64_\w+)\s+(\S+)", text)
    if relocation:
        symbol = re.sub(r"^(\.[\w.]+|\.LC\d+).*", r"\1", relocation[2])
        return f"{relocation[1]} {symbol}"
    # a jump within the function: where to, counted from its start
    text = re.sub(r"\b[0-9a-f]+ (<[^>]+>)", r"\1", text)
    # what a relocation fills in, and padding
    text = re.sub(r"\s+#.*$", "", text)
    if re.match(r"(cs |data16 )*nop", text) or text.startswith("xchg   %ax,%ax"):
        return "nop"
    return text


def different_functions(name, mine, base):
    mine, base = (normalised_functions(path) if path else {} for path in (mine, base))
    names = set(mine) | set(base)
    different = {f"{name}:{function}" for function in names
                 if mine.get(function) != base.get(function)}
    return len(names) - len(different), different


class WithoutMeant:
    """The source of a build without the patches that change normal boots."""

    def __init__(self, build_dir, scratch):
        self.build_dir = build_dir
        self.source = build_dir.resolve().parent
        self.scratch = scratch
        self.files = scratch / "without-meant"
        shutil.rmtree(self.files, ignore_errors=True)
        for path in MEANT:
            patch = path.read_text(encoding="utf-8")
            for name in re.findall(r"^--- a/(\S+)", patch, re.M):
                if not (self.files / name).exists():
                    (self.files / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(self.source / name, self.files / name)
            done = subprocess.run(["patch", "-s", "-R", "-p1", "-d", str(self.files)],
                                  input=patch, check=False, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode:
                raise BenchError(f"{path.name} is not in {self.source}: {done.stdout}")

    def object(self, name):
        """Compile one object from it."""
        target = self.scratch / name.replace("/", "-")
        code = self.files / name.replace(".o", ".c")

        def change(command):
            folder = self.source / pathlib.Path(name).parent
            command = command.replace(
                " -nostdinc ", f" -nostdinc -I{self.files / 'include'} "
                f"-iquote {folder} ", 1)
            if code.exists():
                command = re.sub(rf" \S*{re.escape(name.replace('.o', '.c'))}\b",
                                 f" {code}", command)
            return command

        compile_again(self.build_dir, name, target, change)
        return target


def compare_text(results, off, mainline, scratch):
    """Functions of the core whose code is another without CRASH_DUMP."""
    ours = compiled_objects(off, "drivers/iommu")
    theirs = compiled_objects(mainline, "drivers/iommu")
    equal, drivers, core = 0, set(), {}
    for name in sorted(set(ours) | set(theirs)):
        same, different = different_functions(name, ours.get(name), theirs.get(name))
        equal += same
        if name.startswith(("drivers/iommu/intel/", "drivers/iommu/amd/")):
            drivers |= different
        elif different:
            core[name] = different
    # Without what is meant to change, all must be as it was
    before = WithoutMeant(off, scratch)
    left = set()
    for name in core:
        left |= different_functions(name, before.object(name), theirs.get(name))[1]
    removed = set().union(*core.values()) - left
    results.raw["text_off"] = {"equal": equal, "different": sorted(left),
                               "meant": sorted(removed), "drivers": sorted(drivers)}
    results.add("normal kernel", "off: functions of the core that differ, but for "
                "what is meant to", len(left), 0,
                note=f"{equal:,} are equal, {len(removed)} are without the three patches "
                     f"for normal boots{'; ' if left else ''}{', '.join(sorted(left))[:300]}")
    results.add("normal kernel", "off: functions of the Intel and AMD drivers that "
                "differ", len(drivers), note="take-over is in there")


def run_files(results, options, work):
    builds = {name: getattr(options, name.replace("-", "_"))
              for name in ("framework", "off", "mainline", "mainline-off")}
    size = {name: sections(path) for name, path in builds.items()}
    results.raw["size"] = size
    for name, unmodified in UNMODIFIED.items():
        for section in ("text", "data", "bss"):
            grown = size[name][section] - size[unmodified][section]
            results.add("normal kernel", f"{name}: {section} more than unmodified",
                        grown, unit="bytes",
                        note=f"{100 * grown / size[unmodified][section]:.2f} %")
    structs = {name: struct_sizes(path, work) for name, path in builds.items()}
    results.raw["structs"] = structs
    for name, unmodified in UNMODIFIED.items():
        more = sum(structs[name].values()) - sum(structs[unmodified].values())
        results.add("normal kernel", f"{name}: memory for each device, more than "
                    f"unmodified", more, 0, "bytes",
                    note=", ".join(f"{struct} {value}" for struct, value in
                                   structs[name].items()))
    compare_text(results, options.off, options.mainline_off, work)


# The pictures

def identity_picture(results, out):
    counted = results.raw.get("identity")
    if not counted:
        return
    plots = [(name, colour, [(number, values[0] / 1e9)
                             for number, values in counted[name].items()])
             for name, colour in (("mainline", "#d01020"), ("framework", "#2a7f3f"))]
    gnuplot(out / "bench-identity",
            "set title 'Panic to first process, iommu=pt, address windows up to 2^46'\n"
            "set yrange [0:]\nset key bottom right noenhanced\n"
            "set xlabel 'functions, each in a group of its own'\n"
            "set ylabel 'thousand million instructions'\n",
            [("unmodified kernel" if name == "mainline" else name, colour, 1, points)
             for name, colour, points in plots])


def gnuplot(target, settings, series):
    """Lines of (title, colour, dash, points) as target.svg and target.png."""
    if not shutil.which("gnuplot"):
        say("no picture: install the package gnuplot-nox")
        return
    with tempfile.TemporaryDirectory() as scratch:
        plots = []
        for number, (title, colour, dash, points) in enumerate(series):
            data = pathlib.Path(scratch) / str(number)
            data.write_text("".join(f"{x} {y}\n" for x, y in points), encoding="ascii")
            plots.append(f"'{data}' with linespoints lw 2 pt 7 ps 0.6 dt {dash} "
                         f"lc rgb '{colour}' title '{title}'")
        for suffix, terminal in (("svg", "svg size 820,520 font 'sans,12'"),
                                 ("png", "pngcairo size 1230,780 font 'sans,15'")):
            script = pathlib.Path(scratch) / "script"
            script.write_text(
                f"set terminal {terminal} background rgb 'white'\n"
                f"set output '{target.with_suffix('.' + suffix)}'\n"
                "set grid\nset border 3\nset xtics nomirror\nset ytics nomirror\n"
                f"{settings}plot {', '.join(plots)}\n", encoding="ascii")
            done = subprocess.run(["gnuplot", str(script)], check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode:
                say(f"no picture: gnuplot says {done.stdout.decode().strip()}")
                return


def picture(results, out):
    lines = imports_in_the_middle([
        v for v in results.raw.get("kunit", {}).get("import", []) if v["format"] == "vtdss"])
    if not lines:
        return
    series = [
        ("runs", "ns", "import, runs of 64 MiB", "#2a7f3f", 1),
        ("mix", "ns", "import, a mix", "#4a90c8", 1),
        ("scattered", "ns", "import, scattered pages", "#f08c00", 1),
        ("scattered", "control", "iommu_map() for each page", "#d01020", 1),
        ("runs", "floor", "floor: a linear read of the same tables", "#000000", 2),
    ]
    gnuplot(out / "bench",
            "set title 'What it costs to carry mappings of 4 KiB pages over'\n"
            "set logscale xy\nset key left top noenhanced\n"
            "set xtics nomirror ('64 MiB' 0.0625, '1 GiB' 1, '16 GiB' 16)\n"
            "set xrange [0.05:20]\nset xlabel 'mapped by the crashed kernel'\n"
            "set ylabel 'million instructions'\n",
            [(title, colour, dash, [(v["size"] / GIB, v[key] / 1e6) for v in lines
                                    if v["layout"] == layout and v[key]])
             for layout, key, title, colour, dash in series])


PARTS = ("kunit", "files", "map", "panic", "identity")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("kunit", "framework", "mainline", "off", "mainline-off"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True,
                            metavar="BUILD")
    for name in ("framework-riscv", "mainline-riscv"):
        parser.add_argument(f"--{name}", type=pathlib.Path, metavar="BUILD")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--parts", default=",".join(PARTS),
                        help="some of them only, with a comma between")
    parser.add_argument("--pairs", type=int, default=20,
                        help="of boots for the wall time")
    parser.add_argument("--timeout", type=int, default=3600,
                        help="seconds until a KUnit run counts as hung")
    options = parser.parse_args()
    for name in ("kunit", "framework", "mainline", "off", "mainline_off", "out"):
        setattr(options, name, getattr(options, name).resolve())
    parts = options.parts.split(",")
    unknown = set(parts) - set(PARTS) - {"riscv"}
    if unknown:
        parser.error(f"unknown part {', '.join(unknown)}: known are {', '.join(PARTS)} "
                     f"and riscv")

    processes.install_signal_handlers()
    work = options.out / "work/bench"
    work.mkdir(parents=True, exist_ok=True)
    results = Results()
    began = time.monotonic()
    try:
        if "files" in parts:
            run_files(results, options, work)
        if {"map", "panic", "identity"} & set(parts):
            guests = {name: Guest(name, getattr(options, name.replace("-", "_")), work)
                      for name in ("mainline", "framework", "off", "mainline-off")}
            for guest in guests.values():
                guest.prepare()
            if "map" in parts:
                run_map(results, guests, work)
            if "panic" in parts:
                run_panic(results, guests, work, options.pairs)
            if "identity" in parts:
                run_identity(results, guests, work,
                             options.out / "qemu-11/qemu-system-x86_64")
        if "riscv" in parts:
            run_map(results, riscv_guests(options, work), work)
        if "kunit" in parts:
            run_kunit(results, options, work)
    except (BenchError, processes.Stopped) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1

    picture(results, options.out)
    identity_picture(results, options.out)
    target = options.out / "bench.json"
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps({"parts": parts, "figures": results.figures,
                                   "raw": results.raw}, indent=1) + "\n",
                       encoding="utf-8")
    os.replace(partial, target)
    results.print_table()
    reached, missed = results.count()
    say(f"{reached} limits reached, {missed} missed, "
        f"{time.monotonic() - began:.0f} seconds: {target}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
