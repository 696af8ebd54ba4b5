#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Hand corrupted tables of a made-up crashed kernel to the walkers of page tables and to
the decoding of the drivers: nothing is read or mapped that must not be.

fuzz.py [--number N] [--seed N] [--minutes N] [--emulated N]

The walkers of all formats run in User Mode Linux, one kernel per processor, at the speed
of the machine; the decoding of the drivers, which need their architecture, in an emulated
machine, with a share of the number that is small (--emulated). All have KASAN.

The tables come in chunks, each with a seed of its own. A chunk that has passed is a line
of OUT/fuzz.jsonl at once: what was ended goes on where it was, as long as the kernels are
the same. A chunk that has failed says how it is repeated.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import sys
import threading
import time

sys.dont_write_bytecode = True

import um  # noqa: E402
from um import processes, say  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
# What is corrupted, by the prefix of its parameters, and in how many ways it is run.
FORMATS = {"kunit_iommu_amdv1": 2, "kunit_iommu_vtdss": 3, "kunit_iommu_riscv64": 3,
           "kunit_iommu_x86_64": 4, "kunit_iommu_armv8_4k": 6, "kunit_iommu_armv8_16k": 4,
           "kunit_iommu_armv8_64k": 4}
DRIVERS = {"x86_64": {"intel_kdump_kunit": 2, "amd_kdump_kunit": 1, "riscv_kdump_kunit": 3},
           "arm64": {"smmuv3_kdump_kunit": 2}}
# Tables in a chunk: seconds natively, a minute where the machine is emulated.
CHUNK = 1000000
EMULATED_CHUNK = 20000

Chunk = collections.namedtuple("Chunk", "part number seed tables")


def parameters(tests, tables, seed):
    """What the kernel is told, for so many tables at least."""
    each = -(-tables // sum(tests.values()))
    return ["kunit.timeout=1000000"] + [
        f"{name}.{word}" for name in tests
        for word in (f"corruptions={each}", f"corruption_seed={seed}")]


def chunks(part, number, size, seed):
    """Seeds that do not repeat; the first one is the seed of the run."""
    step = 0x9e3779b1 if part == "native" else 0x85ebca6b
    for index in range(-(-number // size)):
        yield Chunk(part, index, (seed + index * step) % (1 << 32) or 1,
                    min(size, number - index * size))


def corrupted(text):
    """Tables, by test."""
    counts, suite = collections.Counter(), "?"
    for line in text.splitlines():
        if match := re.search(r" {4}# Subtest: (\S+_kdump|\S+_foreign_test)$", line):
            suite = match[1]
        elif match := re.search(r" (\d+) corrupted tables", line):
            counts[suite] += int(match[1])
    return counts


class Native:
    """The walkers, in User Mode Linux."""

    def __init__(self, out):
        say("building the KUnit kernel for User Mode Linux (minutes, if it is new)")
        self.folder = self.logs = out / "fuzz"
        self.folder.mkdir(exist_ok=True)
        # A copy, which nobody builds anew while it runs
        shutil.copy2(um.build("kunit-um", KUNIT_ARCH="um") / "linux", self.folder / "linux")
        self.digest = hashlib.sha256((self.folder / "linux").read_bytes()).hexdigest()[:16]

    def run(self, chunk):
        """(tables by test, what has failed, where to read it)."""
        log = self.logs / f"native.{chunk.number % 8}.log"
        text, ended = um.boot(
            self.folder, ["kunit.filter_glob=*_foreign_test.test_foreign_corrupt"] +
            parameters(FORMATS, chunk.tables, chunk.seed), 600 + chunk.tables / 500)
        log.write_text(text, encoding="utf-8")
        return corrupted(text), um.failure(text) or (None if ended else "no end"), log


class Emulated:
    """The drivers, in a kernel of their architecture."""

    def __init__(self, arch):
        self.arch = arch
        self.folder = pathlib.Path(os.environ["OUT"]) / "build" / (
            "kunit" if arch == "x86_64" else f"kunit-{arch}")
        say(f"building the KUnit kernel for {arch} (minutes, if it is new)")
        um.build(self.folder.name, KUNIT_ARCH=arch)
        image = "x86/boot/bzImage" if arch == "x86_64" else f"{arch}/boot/Image"
        self.digest = hashlib.sha256(
            (self.folder / "arch" / image).read_bytes()).hexdigest()[:16]

    def run(self, chunk):
        environment = os.environ | {
            "KUNIT_ARCH": self.arch, "KUNIT_BUILD": str(self.folder),
            "KUNIT_TIMEOUT": str(600 + chunk.tables // 10), "FILTER": "*_kdump.test_*corrupt*",
            "ARGS": " ".join(parameters(DRIVERS[self.arch], chunk.tables, chunk.seed))}
        status, output = processes.run([str(HERE / "kunit.sh")], 3600 + chunk.tables / 5,
                                       env=environment)
        log = self.folder / "test.log"
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        wrong = um.failure(text) or f"kunit.sh: {output.decode()[-300:]}" if status else None
        return corrupted(text), wrong, log


class Record:
    """The chunks that have passed."""

    def __init__(self, path, digests):
        self.path = path
        self.lock = threading.Lock()
        self.digests = digests
        self.done = {}
        self.runs = collections.OrderedDict()   # seed: number, the last one last
        for line in path.read_text().splitlines() if path.exists() else ():
            one = json.loads(line)
            if digests.get(one["part"]) == one["kernel"]:
                self.done[one["part"], one["seed"], one["size"]] = one
                self.runs.pop(one["run"], None)
                self.runs[one["run"]] = one["number"]

    def passed(self, chunk):
        return self.done.get((chunk.part, chunk.seed, chunk.tables))

    def add(self, chunk, run, number, tables, seconds):
        one = {"run": run, "number": number, "part": chunk.part, "chunk": chunk.number,
               "seed": chunk.seed, "size": chunk.tables, "seconds": round(seconds, 1),
               "kernel": self.digests[chunk.part], "tables": tables}
        with self.lock:
            self.done[chunk.part, chunk.seed, chunk.tables] = one
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(one) + "\n")


def plan(number, emulated, seed):
    """The chunks of a run. Those that take long are begun first."""
    return list(chunks("emulated", emulated, EMULATED_CHUNK, seed)) + \
        list(chunks("native", number - emulated, CHUNK, seed))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=1000000, metavar="N",
                        help="corrupted tables in all, at least (1000000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="repeat the run, or the chunk, that has printed this seed")
    parser.add_argument("--minutes", type=float, metavar="N",
                        help="begin no chunk after that time; the next run goes on")
    parser.add_argument("--emulated", type=int, metavar="N",
                        help="so many of them for the drivers (a tenth, but 100000 at most)")
    options = parser.parse_args()
    number = options.number
    if not 1 <= number <= 10 ** 12:
        parser.error(f"{number} is not a number of tables: N=1000000, for one")
    if not 0 <= options.seed < 1 << 32:
        parser.error(f"SEED={options.seed} is not a number of 32 bits")
    emulated = min(number // 10, 100000) if options.emulated is None else options.emulated
    emulated = min(emulated, number)

    processes.install_signal_handlers()
    out = pathlib.Path(os.environ["OUT"])
    parts = {}
    if number > emulated:
        parts["native"] = Native(out)
    if emulated:
        parts["emulated"] = Emulated(os.environ.get("KUNIT_ARCH") or "x86_64")
    record = Record(out / "fuzz.jsonl", {name: part.digest for name, part in parts.items()})

    # Without a seed the last run of this number goes on, if it is not at its end.
    seed = options.seed
    if not seed:
        for old, size in record.runs.items():
            if size == number and not all(map(record.passed, plan(number, emulated, old))):
                seed = old
    fresh = not seed
    seed = seed or random.SystemRandom().randrange(1, 1 << 32)
    wanted = plan(number, emulated, seed)
    left = [chunk for chunk in wanted if not record.passed(chunk)]
    # What has come to its end is repeated only by request.
    if not left:
        left = wanted
    earlier = len(wanted) - len(left)
    say(f"fuzz: {number} corrupted tables, seed {seed}" +
        ("" if fresh or not earlier else
         f": goes on, {earlier} of {len(wanted)} chunks have passed before"))

    began = time.monotonic()
    lock = threading.Lock()
    failed = []
    passed = collections.Counter()
    ran = collections.Counter()
    for chunk in wanted:
        if chunk not in left:
            passed.update(record.passed(chunk)["tables"])
    told = [began]

    def run(chunk):
        if failed or options.minutes and time.monotonic() - began > options.minutes * 60:
            return
        start = time.monotonic()
        try:
            tables, wrong, log = parts[chunk.part].run(chunk)
        except processes.Stopped:
            return
        seconds = time.monotonic() - start
        with lock:
            if not wrong and sum(tables.values()) < chunk.tables:
                wrong = f"{sum(tables.values())} tables only"
            if wrong:
                failed.append(chunk)
                kept = log.with_name(f"failed.{chunk.part}.{chunk.seed}.log")
                kept.write_bytes(log.read_bytes())
                say(f"fuzz: FAILED, {chunk.part} chunk {chunk.number}: {wrong}; see {kept}\n"
                    f"fuzz: once more with: make fuzz N={chunk.tables} SEED={chunk.seed} "
                    f"EMULATED={chunk.tables if chunk.part == 'emulated' else 0}")
                return
            passed.update(tables)
            ran[chunk.part] += sum(tables.values())
            ran[chunk.part, "seconds"] += seconds
            record.add(chunk, seed, number, tables, seconds)
            now = time.monotonic()
            if now - told[0] > 30:
                told[0] = now
                say(f"fuzz: {sum(passed.values())} of {number}, {now - began:.0f} s")

    workers = os.cpu_count() or 1
    # Two machines of one build folder would write the same log.
    with concurrent.futures.ThreadPoolExecutor(1) as slow, \
            concurrent.futures.ThreadPoolExecutor(max(1, workers - 1)) as fast:
        first = [slow.submit(run, chunk) for chunk in left if chunk.part == "emulated"]
        # The processor of the emulated machine takes part when that has come to its end.
        natives = iter([chunk for chunk in left if chunk.part == "native"])

        def drain():
            while True:
                with lock:
                    chunk = next(natives, None)
                if chunk is None:
                    return
                run(chunk)

        jobs = first + [slow.submit(drain)] + [fast.submit(drain) for _ in range(workers - 1)]
        for job in jobs:
            job.result()

    seconds = time.monotonic() - began
    for name in sorted(passed):
        say(f"corrupted tables: {passed[name]} by {name}")
    for part in parts:
        if ran[part]:
            say(f"corrupted tables: {ran[part]} {part}, now, "
                f"{ran[part] / ran[part, 'seconds']:.0f} a second and processor")
    total = sum(passed.values())
    if failed:
        say(f"fuzz: failed, seed {seed}: {len(failed)} chunks, {total} tables without harm")
        return 1
    unfinished = sum(not record.passed(chunk) for chunk in wanted)
    if unfinished:
        say(f"fuzz: {total} of {number} corrupted tables, none of them did harm, seed {seed}, "
            f"{seconds:.0f} s; goes on with: make fuzz N={number}")
        return 0
    say(f"fuzz: {total} corrupted tables, none of them did harm, seed {seed}, {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
