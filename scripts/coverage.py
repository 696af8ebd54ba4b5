#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Which lines and branches of the core and the walkers do the tests take?

coverage.py [--number N] [--all]

Builds the KUnit kernel of User Mode Linux with what gcov needs, for our files only, runs
the tests and so many corrupted tables, and prints a table per file and each branch that
was never taken. scripts/coverage.known has branches that cannot be taken, or that say
nothing, each with the reason; any other is an error. The lines that were never run are
in OUT/coverage.txt as well (--all prints them).

Without the emulated machine: what only the drivers reach is not counted.
"""

import argparse
import collections
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import fuzz  # noqa: E402
import um  # noqa: E402
from um import processes, say  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
KNOWN = HERE / "coverage.known"
# Branches of the compiler's own and of copies that it makes would count as ours.
FLAGS = ("ccflags-y += --coverage -fno-stack-protector -D__NO_FORTIFY -fno-inline-functions "
         "-fno-inline-small-functions -fno-inline-functions-called-once\n")
# What is built for gcov, by the Makefile that is told to, in a copy of the tree.
MAKEFILES = {"drivers/iommu/kdump/Makefile": FLAGS,
             "drivers/iommu/generic_pt/fmt/Makefile": FLAGS,
             "arch/um/Makefile-skas": "LINK-y += --coverage\n"}
# The linker scripts leave out what writes the data when the kernel ends.
SCRIPTS = ("arch/um/kernel/dyn.lds.S", "arch/um/include/asm/common.lds.S")
OBJECTS = ("drivers/iommu/kdump/*.gcno", "drivers/iommu/generic_pt/fmt/iommu_*.gcno")
# Our files, and our functions in files of others.
FILES = re.compile(r"drivers/iommu/(kdump/(?!trace\.).*\.[ch]|"
                   r"generic_pt/(iommu_pt_foreign\.h|fmt/armv8\.h))$")
OTHER_FILES = re.compile(r"drivers/iommu/generic_pt/(iommu_pt\.h|fmt/\w+\.h)$")
FUNCTIONS = re.compile(r"foreign|leaves|leaf_step|sparse")
TESTS = re.compile(r"_kunit\.[ch]$")
# Branches of these are none of ours: for tests, for messages, for the lock checker
NO_BRANCHES = re.compile(r"KUNIT_STATIC_STUB|\bpr_\w+\(|\bdev_\w+\(dev|lockdep_|\btrace_\w+\(|"
                         r"cond_resched|_ratelimited|IS_ENABLED\(CONFIG_KUNIT\)")


def run(folder, words, what):
    text, ended = um.boot(folder, words, 1800)
    (folder / "coverage.log").write_text(text, encoding="utf-8")
    if um.failure(text) or not ended:
        raise SystemExit(f"error: {um.failure(text) or 'no end'}: see {folder}/coverage.log")
    say(f"{what}: {len(re.findall(r'^ {4,}ok ', text, re.M))} tests, "
        f"{sum(fuzz.corrupted(text).values())} corrupted tables")


class Line:
    def __init__(self):
        self.count = 0
        self.function = "?"
        # As often as it was compiled, formats and inlined copies: by number of branches
        self.branches = collections.defaultdict(lambda: collections.defaultdict(int))

    def missing(self):
        """(branches never taken, branches): where compiled to the same, taken is taken."""
        most = max(self.branches, default=0)
        taken = self.branches[most] if most else {}
        return sum(not taken[index] for index in range(most)), most


def collect(folder, copy):
    """{file: {number: Line}}"""
    found = collections.defaultdict(lambda: collections.defaultdict(Line))
    notes = [path for pattern in OBJECTS for path in sorted(folder.glob(pattern))]
    with tempfile.TemporaryDirectory() as place:
        for note in notes:
            if TESTS.search(f"{note.stem}.c") or not note.with_suffix(".gcda").exists():
                continue
            subprocess.run(["gcov", "--branch-probabilities", "--json-format",
                            str(note.with_suffix(".gcda"))],
                           cwd=place, check=True, stdout=subprocess.DEVNULL)
        for path in pathlib.Path(place).glob("*.gcov.json.gz"):
            with gzip.open(path) as file:
                add(found, json.load(file), copy)
    return found


def add(found, report, copy):
    for one in report["files"]:
        name = os.path.realpath(os.path.join(report["current_working_directory"], one["file"]))
        name = os.path.relpath(name, copy)
        ours = FILES.search(name) and not TESTS.search(name)
        if not ours and not OTHER_FILES.search(name):
            continue
        names = {function["name"]: function for function in one["functions"]}
        for line in one["lines"]:
            function = line.get("function_name", "?")
            if not ours and not FUNCTIONS.search(inner(copy, name, line["line_number"])):
                continue
            here = found[name][line["line_number"]]
            here.count += line["count"]
            here.function = function if function in names else here.function
            branches = line["branches"]
            for index, branch in enumerate(branches):
                here.branches[len(branches)][index] += branch["count"]


_texts = {}


def text_of(copy, name):
    if name not in _texts:
        _texts[name] = (copy / name).read_text(encoding="utf-8").splitlines()
    return _texts[name]


def inner(copy, name, number):
    """The function that a line is in, by its text: what gcov says is where it was inlined."""
    lines = text_of(copy, name)
    while number > 0 and not lines[number - 1].startswith("{"):
        number -= 1
    head = ""
    while number > 1 and lines[number - 2].strip() and not lines[number - 2].startswith("}"):
        number -= 1
        head = lines[number - 1] + " " + head
    match = re.search(r"(\w+(?:\(\w+\))?)\s*\((?!\w+\)\()", head)
    return match[1] if match else "?"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=1000000, metavar="N",
                        help="corrupted tables beside the tests (1000000)")
    parser.add_argument("--all", action="store_true",
                        help="print the lines that were never run as well")
    options = parser.parse_args()

    processes.install_signal_handlers()
    out = pathlib.Path(os.environ["OUT"])
    say("copying the tree, and building the KUnit kernel for gcov (minutes)")
    def text(path):
        return (out / "linux" / path).read_text(encoding="utf-8")

    copy = um.copied_tree(
        {path: text(path) + more for path, more in MAKEFILES.items()} |
        {path: text(path).replace("*(.fini_array)", "*(.fini_array.*) *(.fini_array)")
         for path in SCRIPTS})
    folder = um.build("kunit-mutants-um", KUNIT_ARCH="um", FAST="1", KUNIT_TREE=str(copy))
    copy = copy.resolve()
    for data in folder.glob("drivers/iommu/**/*.gcda"):
        data.unlink()
    for suites in ("*_kdump*", "kunit_iommu", "*_foreign_test"):
        run(folder, [f"kunit.filter_glob={suites}"], suites)
    run(folder, ["kunit.filter_glob=*_foreign_test.test_foreign_corrupt"] +
        fuzz.parameters(fuzz.FORMATS, options.number, 1), "corrupted tables")

    found = collect(folder, copy)
    if not found:
        raise SystemExit(f"error: no data of gcov in {folder}")
    known = um.Reasons(KNOWN)
    used, unknown, total = set(), [], collections.Counter()
    report = [f"{'file':48} {'lines':>11} {'branches':>13}"]
    for name in sorted(found):
        sums = collections.Counter()
        for number, line in sorted(found[name].items()):
            text = " ".join(text_of(copy, name)[number - 1].split())
            sums["lines"] += 1
            sums["run"] += line.count > 0
            if not line.count:
                report.append(f"    {name}:{number} never run: {text}")
            missing, branches = line.missing()
            if not branches or NO_BRANCHES.search(text) or \
                    not text_of(copy, name)[number - 1].startswith("\t"):
                continue            # what is said to be a function's head is of its stub
            sums["branches"] += branches
            sums["taken"] += branches - missing
            if not missing:
                continue
            key = f"{name} {inner(copy, name, number)}: {text}"
            used.add(key)
            sums["known"] += missing if known.get(key) else 0
            if not known.get(key):
                unknown.append(f"{name}:{number}: {missing} of {branches} branches "
                               f"never taken: {text}")
        report.append(f"{name.removeprefix('drivers/iommu/'):48} "
                      f"{sums['run']:5}/{sums['lines']:5} {sums['taken']:6}/{sums['branches']:6}")
        total.update(sums)
    report.append(f"{'all':48} {total['run']:5}/{total['lines']:5} "
                  f"{total['taken']:6}/{total['branches']:6}")
    (out / "coverage.txt").write_text("\n".join(report + unknown) + "\n", encoding="utf-8")
    for line in report:
        if options.all or not line.startswith("    "):
            say(line)
    for line in unknown:
        say(line)
    stale = known.stale(used)
    for key in stale:
        say(f"error: {KNOWN.name}: there is no such branch any more: {key}")
    say(f"coverage: {total['run']} of {total['lines']} lines, {total['taken']} of "
        f"{total['branches']} branches, {total['known']} that cannot be taken, "
        f"{total['branches'] - total['taken'] - total['known']} not explained")
    return int(bool(unknown or stale))


if __name__ == "__main__":
    sys.exit(main())
