#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Break the code everywhere, and see the tests fail: mutants that nobody has picked.

mutate-all.py [--number N] [--seed N] [--only TEXT]... [--minutes N] [--list]
              [--native] [--again]

Every condition is forced to be true, and to be false; every bound is moved by one; every
call whose result nobody wants is left out. All of these mutants are built into one KUnit
kernel, and a word of its command line chooses the one that is alive. A first run of each
suite tells which mutants it reaches; then each mutant is run with the suites that reach
it, the fastest first, and those that have failed for others of the file, until one fails.

That is done on User Mode Linux, where it takes a second. Only what survives there, and
the drivers, are run in an emulated machine, with the suites that are there only.

Each verdict is a line of OUT/mutants.jsonl at once: what was ended goes on where it was,
as long as the sources are the same. scripts/mutants.known has the mutants that no test
can notice, each with the reason; any other survivor is a failure. mutants picked by hand,
for what a rule does not find, are in scripts/mutants: see mutate.sh.
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
import sys
import threading
import time

sys.dont_write_bytecode = True

import um  # noqa: E402
from um import failure, processes, say  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
KNOWN = HERE / "mutants.known"
# What is broken: the core, the walker, and the drivers.
SOURCES = ("drivers/iommu/kdump/*.c", "drivers/iommu/generic_pt/iommu_pt_foreign.h",
           "drivers/iommu/generic_pt/fmt/armv8.h", "drivers/iommu/*/kdump.c",
           "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-kdump.c")
ARM_DRIVER = re.compile(r"drivers/iommu/arm/")
DRIVERS = re.compile(r"drivers/iommu/\w+/kdump\.c |drivers/iommu/arm/")
NOT_SOURCES = re.compile(r"_kunit\.c$|/trace\.c$|/status\.c$")
SUITES = re.compile(r"_kdump(_|$)|_foreign_test$|^kunit_iommu$")
# Those with tests that User Mode Linux skips, or does not have
EMULATED_SUITES = re.compile(r"^(intel|amd|riscv)_kdump|^(oldmem_kdump|iommu_kdump_memory)$")
ARM_SUITES = re.compile(r"^smmuv3_kdump")
# Without these nothing else happens: messages, what frees memory, locks.
NO_CALLS = re.compile(
    r"^(pr_|dev_|trace_|seq_|lockdep_|WARN|BUILD_BUG|might_|cond_resched|"
    r"k?v?z?k?free|xa_destroy|va_|mutex_|(raw_)?spin_|xa_(un)?lock|rcu_read_|down_|up_|"
    r"static_assert)")
# These must stay constants for the compiler.
CONSTANTS = re.compile(r"\bIS_ENABLED\(|\b__builtin|\bIS_REACHABLE\(|\bPT_[A-Z0-9_]*WORD|"
                       r"\bsizeof\(pt_|\bPT_ITEM")
ARGUMENTS = [f"kunit_iommu_{name}.corruptions=300" for name in (
    "amdv1", "vtdss", "riscv64", "x86_64", "armv8_4k", "armv8_16k", "armv8_64k")]
SWITCH = """
#include <linux/bitops.h>
#include <linux/moduleparam.h>
#include <linux/reboot.h>

static unsigned int kdump_mutant;
core_param(kdump_mutant, kdump_mutant, uint, 0444);
static DECLARE_BITMAP(kdump_reached, {total} + 1);

bool kdump_mutant_is(unsigned int number)
{{
	if (!test_bit(number, kdump_reached))
		set_bit(number, kdump_reached);
	return number == kdump_mutant;
}}
EXPORT_SYMBOL_GPL(kdump_mutant_is);

static int kdump_tell(struct notifier_block *nb, unsigned long event, void *data)
{{
	unsigned int i;

	if (kdump_mutant)
		return 0;
	for (i = 0; i < ARRAY_SIZE(kdump_reached); i++)
		if (kdump_reached[i])
			pr_info("kdump reached %u %lx\\n", i, kdump_reached[i]);
	return 0;
}}

static struct notifier_block kdump_teller = {{ .notifier_call = kdump_tell }};

static int __init kdump_teller_init(void)
{{
	return register_reboot_notifier(&kdump_teller);
}}
early_initcall(kdump_teller_init);
"""
DECLARATION = "#include <linux/types.h>\nbool kdump_mutant_is(unsigned int number);\n"

# number: of this build; key: what stays the same when other code moves
Mutant = collections.namedtuple("Mutant", "number key line")


class Source:
    """A file, and its copy with the mutants in it."""

    def __init__(self, name, text):
        self.name = name
        self.text = text
        # the same length, without what only looks like code
        self.code = re.sub(
            r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
            r"|^#(?:\\\n|[^\n])*",
            lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=re.S | re.M)
        self.edits = []                 # (start, end, text)
        self.seen = collections.Counter()

    def close(self, start):
        """Where the parenthesis ends that begins there."""
        depth = 0
        for place in range(start, len(self.code)):
            depth += {"(": 1, ")": -1}.get(self.code[place], 0)
            if not depth:
                return place
        raise ValueError(f"{self.name}: no end of {self.text[start:start + 40]}")

    def bare(self, start, end):
        """Without space around it."""
        while start < end and self.code[start].isspace():
            start += 1
        while start < end and self.code[end - 1].isspace():
            end -= 1
        return start, end

    def split(self, start, end, pattern):
        """Parts between operators that are not within parentheses."""
        depth, parts, place = 0, [], start
        while place < end:
            character = self.code[place]
            if character in "([{":
                depth += 1
            elif character in ")]}":
                depth -= 1
            else:
                match = re.compile(pattern).match(self.code, place, end)
                if match and not depth:
                    parts.append((start, place))
                    start = place = match.end()
                    continue
            place += 1
        return parts + [(start, end)]

    def leaves(self, start, end):
        """The conditions that an expression is made of."""
        start, end = self.bare(start, end)
        if len(self.split(start, end, r"\?")) > 1:
            return [(start, end)]
        for pattern in (r"\|\|", r"&&"):
            parts = self.split(start, end, pattern)
            if len(parts) > 1:
                return [leaf for part in parts for leaf in self.leaves(*part)]
        inner = start
        while inner < end and self.code[inner] in "! ":
            inner += 1
        if self.code[inner] == "(" and self.close(inner) == end - 1 and \
                re.search(r"&&|\|\|", self.code[inner:end]):
            return self.leaves(inner + 1, end - 1)
        return [(start, end)]

    def functions(self):
        for match in re.finditer(r"^\{\n(.*?)^\}", self.code, re.S | re.M):
            head = self.code[:match.start()].rstrip()
            head = head[max(head.rfind("\n\n"), head.rfind(";\n"), head.rfind("}\n")) + 1:]
            name = re.search(r"(\w+(?:\(\w+\))?)\s*\(", head)
            yield (name[1] if name else "?"), match.start(1), match.end(1)

    def mutate(self, number):
        """Put all mutants in, from this number on; what they are."""
        found = []

        def new(function, kind, start, end):
            text = " ".join(self.text[start:end].split())
            key = f"{self.name} {function} {kind}: {text}"
            self.seen[key] += 1
            if self.seen[key] > 1:
                key += f" #{self.seen[key]}"
            line = self.text.count("\n", 0, start) + 1
            found.append(Mutant(number + len(found), key, line))
            return found[-1].number

        for function, start, end in self.functions():
            for match in re.finditer(r"\bif \(|\breturn ([^;]*);", self.code[start:end]):
                if match[1] is None:
                    first = start + match.end() - 1
                    area = first + 1, self.close(first)
                else:
                    area = start + match.start(1), start + match.end(1)
                    if not re.search(r"&&|\|\||[=!]=|[^<>-][<>]=?[^<>=]|^!", match[1]) \
                            or "?" in match[1]:
                        continue
                for leaf in self.leaves(*area):
                    self.condition(new, function, *leaf)
            for match in re.finditer(r"^\t+(?=([a-z_]\w*)\()", self.code[start:end], re.M):
                self.call(new, function, start + match.end(), match[1])
        return found

    def condition(self, new, function, start, end):
        text = self.text[start:end]
        if CONSTANTS.search(self.code[start:end]) or not text:
            return
        forced = (f"(kdump_mutant_is({new(function, 'true', start, end)}) ? 1 : "
                  f"kdump_mutant_is({new(function, 'false', start, end)}) ? 0 : ")
        bounds = self.split(start, end, r"(?<![-<>])[<>](?![<>])=?")
        if len(bounds) == 2:
            (_, left), (right, _) = bounds
            operator = self.text[left:right]
            moved = operator[0] if "=" in operator else operator + "="
            number = new(function, "bound", start, end)
            forced += (f"kdump_mutant_is({number}) ? "
                       f"(({self.text[start:left]} {moved} {self.text[right:end]})) : ")
        self.edits.append((start, end, f"{forced}!!({text}))"))

    def call(self, new, function, start, name):
        before = self.code[:start].rstrip()
        if NO_CALLS.match(name) or \
                not re.search(r"[;{})]$|\belse$|\n\s*(case\b[^\n?]*|\w+):$", before):
            return
        end = self.close(start + len(name)) + 1
        if self.code[end:end + 1] != ";":
            return
        number = new(function, "call", start, end)
        self.edits.append((start, end + 1,
                           f"{{ if (!kdump_mutant_is({number})) {self.text[start:end]}; }}"))

    def result(self):
        text = self.text
        for start, end, new in sorted(self.edits, reverse=True):
            text = text[:start] + new + text[end:]
        # after the comment with the licence
        match = re.search(r"^#(?:include|define|ifndef)", text, re.M)
        return text[:match.start()] + DECLARATION + text[match.start():]


def sources(tree):
    return [path for pattern in SOURCES for path in sorted(tree.glob(pattern))
            if not NOT_SOURCES.search(str(path))]


def find_mutants(tree):
    """([Mutant], {path: new text})."""
    mutants, texts = [], {}
    for path in sources(tree):
        source = Source(str(path.relative_to(tree)), path.read_text(encoding="utf-8"))
        mutants += source.mutate(len(mutants) + 1)
        texts[path.relative_to(tree)] = source.result()
    core = pathlib.Path("drivers/iommu/kdump/core.c")
    texts[core] += SWITCH.format(total=len(mutants))
    return mutants, texts


class Kernel:
    """The KUnit kernel with all mutants in it, and what its suites reach."""

    def __init__(self, folder, work, digest):
        self.folder = folder
        self.work = work
        self.seconds = {}               # by suite
        self.reached = {}               # by suite: set of numbers
        self.kills = collections.Counter()      # by file and suite
        self.digest = hashlib.sha256(
            digest.encode() + (folder / self.IMAGE).read_bytes()).hexdigest()[:16]

    def boot(self, words, timeout, log):
        """(console, whether it has got to its end)."""
        text, ended = self.start([*ARGUMENTS, *words], timeout)
        (self.work / f"{self.NAME}.{log}").write_text(text, encoding="utf-8")
        return text, ended

    def suites(self):
        text, _ = self.boot(["kunit.action=list"], 120, "list.log")
        return sorted({match[1] for match in re.finditer(r"^(?:\[.*?\] )?(\w+)\.\w+\s*$", text, re.M)
                       if self.SUITES.search(match[1])})

    def look(self, suite):
        """What a suite reaches when nothing is broken."""
        began = time.monotonic()
        text, ended = self.boot([f"kunit.filter_glob={suite}"], 1800, f"{suite}.log")
        if not ended or failure(text):
            raise SystemExit(f"error: {suite} fails without any mutant: "
                             f"see {self.work / self.NAME}.{suite}.log")
        self.seconds[suite] = time.monotonic() - began
        self.reached[suite] = {
            int(word) * 64 + bit
            for word, bits in re.findall(r"kdump reached (\d+) ([0-9a-f]+)", text)
            for bit in range(64) if int(bits, 16) >> bit & 1}

    def look_at_all(self):
        """... or what they have reached before, in the same kernel."""
        seen = self.work / f"{self.NAME}.reached.json"
        if seen.exists():
            one = json.loads(seen.read_text(encoding="utf-8"))
            if one["sources"] == self.digest:
                self.seconds = one["seconds"]
                self.reached = {suite: set(found) for suite, found in one["reached"].items()}
                return
        began = time.monotonic()
        suites = self.suites()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for number, _ in enumerate(pool.map(self.look, suites), 1):
                if number % 10 == 0 or number == len(suites):
                    say(f"{self.NAME}: what {number} of {len(suites)} suites reach, "
                        f"{time.monotonic() - began:.0f} s")
        seen.write_text(json.dumps({
            "sources": self.digest, "seconds": self.seconds,
            "reached": {suite: sorted(found) for suite, found in self.reached.items()}}),
            encoding="utf-8")

    def judge(self, mutant, slot):
        """(verdict, by what)."""
        where = mutant.key.split()[0]
        # What has found others there is likely to find this one
        for suite in sorted(self.seconds, key=lambda suite: self.seconds[suite] /
                            (1 + self.kills[where, suite])):
            if mutant.number not in self.reached[suite]:
                continue
            text, ended = self.boot(
                [f"kunit.filter_glob={suite}", f"kdump_mutant={mutant.number}"],
                3 * self.seconds[suite] + self.PATIENCE, f"mutant.{slot}.log")
            name = failure(text)
            if name or not ended:
                self.kills[where, suite] += 1
                return "killed", f"{suite}.{name}" if name else f"{suite}: no end"
        if not any(mutant.number in numbers for numbers in self.reached.values()):
            return "not reached", ""
        return "survived", ""


class Native(Kernel):
    NAME = "native"
    ARCH, FOLDER = "um", "kunit-mutants-um"
    IMAGE = "linux"
    SUITES = SUITES
    PATIENCE = 20

    def start(self, words, timeout):
        return um.boot(self.folder, words, timeout)


class Emulated(Kernel):
    NAME = "emulated"
    ARCH, FOLDER = "x86_64", "kunit-mutants"
    IMAGE = "arch/x86/boot/bzImage"
    SUITES = EMULATED_SUITES
    PATIENCE = 30
    MACHINE = ("qemu-system-x86_64", "-bios", "qboot.rom", "-accel", "tcg")
    WORDS = "console=ttyS0 no_timer_check tsc=nowatchdog"

    def start(self, words, timeout):
        command = [*self.MACHINE, "-nodefaults", "-m", "1024", "-no-reboot", "-nographic",
                   "-serial", "stdio", "-kernel", str(self.folder / self.IMAGE), "-append",
                   f"{self.WORDS} kunit.enable=1 kunit_shutdown=reboot panic=-1 oops=panic " +
                   " ".join(words)]
        _status, output = processes.run(command, timeout)
        text = output.decode("utf-8", "replace")
        return text, "reboot: Restarting system" in text


class EmulatedArm(Emulated):
    NAME = "emulated-arm"
    ARCH, FOLDER = "arm64", "kunit-mutants-arm64"
    IMAGE = "arch/arm64/boot/Image"
    SUITES = ARM_SUITES
    MACHINE = (os.environ.get("QEMU_ARM") or
               os.path.join(os.environ.get("OUT", ""), "qemu-11-arm/qemu-system-aarch64"),
               "-M", "virt", "-cpu", "cortex-a57")
    WORDS = "console=ttyAMA0"


def build(kind, copy, work, texts):
    say(f"building the KUnit kernel for {kind.ARCH} with all mutants (minutes)")
    folder = um.build(kind.FOLDER, FAST="1", KUNIT_TREE=str(copy), KUNIT_ARCH=kind.ARCH)
    return kind(folder, work, "".join(texts.values()))


class Record:
    """What each mutant has come to; the last verdict counts."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.lines = [json.loads(line) for line in path.read_text().splitlines()] \
            if path.exists() else []

    def of(self, kernel):
        return {one["key"]: one for one in self.lines if one["sources"] == kernel.digest}

    def last(self):
        return {one["key"]: one["verdict"] for one in self.lines}

    def add(self, kernel, mutant, verdict, by):
        one = {"sources": kernel.digest, "key": mutant.key, "line": mutant.line,
               "verdict": verdict, "by": by, "where": kernel.NAME}
        self.lines.append(one)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(one) + "\n")


def run_all(kernel, mutants, record, deadline):
    """Judge these, unless it is too late: {key: verdict} of all that were judged ever."""
    done = record.of(kernel)
    left = [mutant for mutant in mutants if mutant.key not in done]
    say(f"{kernel.NAME}: {len(mutants)} wanted, {len(left)} of them to be run")
    if left:
        kernel.look_at_all()
    slots = iter(range(1 << 30))
    count = len(mutants) - len(left)

    def run(mutant):
        nonlocal count

        if deadline and time.monotonic() > deadline:
            return
        with record.lock:
            slot = next(slots) % 8
        verdict, by = kernel.judge(mutant, slot)
        with record.lock:
            record.add(kernel, mutant, verdict, by)
            count += 1
            if verdict != "killed" or count % 100 == 0:
                say(f"{count}/{len(mutants)} {mutant.key} (line {mutant.line}): {verdict} {by}")

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(run, left))
    return {key: one["verdict"] for key, one in record.of(kernel).items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=0, metavar="N",
                        help="so many of them, by chance (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", metavar="TEXT",
                        help="those whose file, function or code has this text; several times")
    parser.add_argument("--minutes", type=float, metavar="N",
                        help="begin none after that time; the next run goes on")
    parser.add_argument("--native", action="store_true",
                        help="not in the emulated machine: without the drivers")
    parser.add_argument("--again", action="store_true",
                        help="only those that were not killed when they were run last")
    parser.add_argument("--list", action="store_true", help="what there is, and no more")
    options = parser.parse_args()

    out = pathlib.Path(os.environ["OUT"])
    tree = out / "linux"
    mutants, texts = find_mutants(tree)
    if options.list:
        for mutant in mutants:
            print(f"{mutant.line:5} {mutant.key}")
        print(f"{len(mutants)} mutants")
        return 0
    processes.install_signal_handlers()
    began = time.monotonic()
    deadline = options.minutes and began + options.minutes * 60
    work = out / "mutate-all"
    work.mkdir(parents=True, exist_ok=True)
    record = Record(out / "mutants.jsonl")
    known = um.Reasons(KNOWN)

    chosen = [mutant for mutant in mutants
              if any(text in mutant.key for text in options.only or [""]) and
              not (options.native and DRIVERS.match(mutant.key))]
    if options.again:
        last = record.last()
        chosen = [mutant for mutant in chosen
                  if last.get(mutant.key, "killed") != "killed" and not known.get(mutant.key)]
    if options.number:
        chosen = random.Random(options.seed).sample(chosen, min(options.number, len(chosen)))
    say(f"{len(mutants)} mutants, {len(chosen)} chosen; copying the tree")
    copy = um.copied_tree(texts)

    verdict = {}
    native = [mutant for mutant in chosen if not DRIVERS.match(mutant.key)]
    if native:
        verdict = run_all(build(Native, copy, work, texts), native, record, deadline)
    for kind in () if options.native else (Emulated, EmulatedArm):
        left = [mutant for mutant in chosen if not known.get(mutant.key) and
                verdict.get(mutant.key) != "killed" and
                (kind is EmulatedArm) == bool(ARM_DRIVER.match(mutant.key)) and
                (mutant.key in verdict or DRIVERS.match(mutant.key))]
        if not left or deadline and time.monotonic() > deadline:
            continue
        emulated = run_all(build(kind, copy, work, texts), left, record, deadline)
        for mutant in left:
            there = emulated.get(mutant.key)
            if there and (there != "not reached" or mutant.key not in verdict):
                verdict[mutant.key] = there
            elif not there:
                verdict.pop(mutant.key, None)

    verdicts = collections.Counter()
    for mutant in chosen:
        word = verdict.get(mutant.key, "not run")
        if word in ("survived", "not reached") and known.get(mutant.key):
            word = "known"
        verdicts[word] += 1
    for key in known.stale([mutant.key for mutant in mutants]):
        say(f"error: {KNOWN.name}: there is no such mutant any more: {key}")
        verdicts["stale"] += 1
    say(f"{len(chosen)} mutants: " + ", ".join(
        f"{verdicts[word]} {word}" for word in
        ("killed", "survived", "not reached", "known", "not run")) +
        f", {time.monotonic() - began:.0f} s")
    return int(any(verdicts[word] for word in ("survived", "not reached", "not run", "stale")))


if __name__ == "__main__":
    sys.exit(main())
