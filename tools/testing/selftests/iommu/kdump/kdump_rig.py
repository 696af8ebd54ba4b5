#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Crash a virtual machine with DMA in flight, and see what the DMA does.

The files beside this one: README (what each figure means), config (options of the
kernels under test), rig/ (host side), guest/ (what runs in the machine).
"""

import argparse
import collections
import concurrent.futures
import fcntl
import hashlib
import json
import os
import pathlib
import random
import shlex
import shutil
import sys
import threading
import time

sys.dont_write_bytecode = True          # the source tree stays clean

from rig import (arch, build, corrupt, debian, dumps, machine, page,  # noqa: E402
                 processes, report, run, scenarios, small, starve, stock, trace, variants)

KSFT_SKIP = 4
# A run that has shown nothing, see machine.Lost, is repeated this often at most.
MAX_LOST = 5
# Unmodified kernels fail by a race: so many runs to see it.
CONTROL_TRIES = 8
# Under KVM the kernel needs well below a second to its first process.
KVM_PROBE_SECONDS = 10


# Of all subcommands; demo, compare and check run those in scenarios.ALL.
KNOWN = {**scenarios.ALL, **dumps.ALL, **debian.ALL, **small.ALL}

# words: rig.* words for both kernels; seed: of a corruption; again: the command that
# repeats the run, where it is not obvious; settings: pairs that the scenario finds in
# its extras; first: the kernel that crashes, if it is one of stock.py
class Plan(collections.namedtuple("Plan", "scenario variant arm qemu words seed again "
                                  "settings first", defaults=((), 0, None, (), ""))):
    @property
    def title(self):
        failing = dict(self.settings).get("failing")
        return (f"{self.scenario} on {run.label(self.arm, self.first)}, {self.variant}"
                + (f": {starve.words(failing)}" if failing else ""))


def named(name, seed=0):
    """The scenario of this name, cases of corruption included."""
    if name.startswith(starve.PREFIX):
        return starve.named(name)
    return KNOWN[name]() if name in KNOWN else corrupt.named(name, seed)


class Session:
    """What all runs of one invocation have in common."""

    def __init__(self, options):
        self.options = options
        self.out = pathlib.Path(options.out).resolve()
        self.kernels = {}               # by arm
        self.stock = {}                 # by name: kernels of a distribution
        self.outcomes = []              # (plan, outcome)
        self.lost = 0
        self.began = time.monotonic()
        # tells the lines of this invocation in results.jsonl from others
        self.name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        self._lock = threading.Lock()
        self._large = threading.Lock()  # held by a run with much memory
        self._newer = None              # (path, why there is none)
        self.extras = {}                # by arm: for the scenarios, see Scenario.extras
        self.accel = "tcg"
        self.arch = options.arch = architecture(options)
        options.qemu = options.qemu or os.environ.get(self.arch.QEMU_VARIABLE,
                                                      self.arch.QEMU)
        if options.qemu == "11":
            options.qemu, why = self.newer_qemu()
            if why:
                raise machine.Unavailable(why)

    def file_name(self, name):
        """Of a table or page: those of other architectures do not replace x86's."""
        return name if self.arch is arch.ALL[0] else f"{name}-{self.arch.NAME}"

    def time_is_over(self):
        """Whether --minutes, of the commands that have it, have passed."""
        minutes = self.options.minutes
        return bool(minutes) and time.monotonic() > self.began + minutes * 60

    def say(self, text):
        with self._lock:
            print(f"[{time.monotonic() - self.began:5.0f} s] {text}", flush=True)

    def open_kernel(self, name, tools=None):
        place = getattr(self.options, name)
        if not place:
            return None
        kernel = build.Kernel(name, place, self.out, self.arch)
        self.out.mkdir(parents=True, exist_ok=True)
        sweep(self.out)
        kernel.prepare(self.say, tools)
        self.kernels[name] = kernel
        if tools:
            self.extras[name] = {"tools": str(tools)}
        if name == "framework":
            self.kernels["block"] = kernel
        return kernel

    def open_stock(self, words, arms):
        """Names of other kernels that crash, and why some cannot be had.

        words: the option --first. arms: of the kernels that they crash into.
        """
        missing = {}
        if "/" in words:
            others = [stock.Build(place, self.out, self.arch) for place in words.split(",")]
        elif self.arch.STOCK:
            others = [stock.Kernel(version, self.out) for version in stock.versions(words)]
        else:
            return [], {words: "the rig knows Debian's kernels for x86 only"}
        for kernel in others:
            why = kernel.fetch(self.say)
            if why:
                missing[kernel.name] = why
                continue
            for ours in {self.kernels[arm] for arm in arms}:
                self.say(f"{kernel.name}: initramfs, to crash into {ours.name}")
                kernel.prepare(ours)
            self.stock[kernel.name] = kernel
        return list(self.stock), missing

    def need_kernel(self, name, tools=None):
        kernel = self.open_kernel(name, tools)
        if not kernel:
            raise build.RigError(
                f"this needs --{name} BUILD_DIR, a kernel build with the options "
                f"of {build.HERE / 'config'}")
        return kernel

    def dump_tools(self):
        """The folder with kexec, makedumpfile and crash. Fetched when first wanted."""
        self.out.mkdir(parents=True, exist_ok=True)
        folder = self.out / "dump-tools"
        if not folder.exists():
            self.say("fetching kexec, makedumpfile and crash into a private folder")
        why = build.unavailable(("fetch_tools.sh", self.out), 600, "tools for dumps")
        if why:
            raise build.RigError(why)
        return folder

    def newer_qemu(self):
        """(path, None), or (None, why there is none). Fetched when first wanted."""
        if not self._newer:
            self.out.mkdir(parents=True, exist_ok=True)
            private = self.out / self.arch.NEWER_QEMU
            if not private.exists():
                self.say("fetching QEMU 11 into a private folder")
            why = build.unavailable(("fetch_qemu.sh", self.out, self.arch.NAME), 600,
                                    "QEMU 11")
            self._newer = (None, why) if why else (str(private), None)
        return self._newer

    def qemu_for(self, scenario, variant):
        """(QEMU that can run this, None), or (None, why none can)."""
        why = scenario.why_not(variant, self.options.qemu)
        if not isinstance(why, machine.NeedsQemu11):
            return self.options.qemu, why
        newer, missing = self.newer_qemu()
        if not newer:
            return None, f"{why}; {missing}"
        return newer, scenario.why_not(variant, newer)

    def choose_accel(self):
        """TCG, unless KVM was asked for and boots each of these kernels."""
        if self.options.accel != "kvm":
            return
        if not self.arch.KVM:
            self.say("this host has no KVM for the guest's processors: using TCG")
            return
        for kernel in self.kernels.values():
            if not self._kvm_boots(kernel):
                self.say(f"KVM does not boot the {kernel.name} kernel here: "
                         f"using TCG")
                return
        self.accel = "kvm"

    def _kvm_boots(self, kernel):
        cache = self.out / "kvm-probe.json"
        known = json.loads(cache.read_text()) if cache.exists() else {}
        key = hashlib.sha256(
            (kernel.digest + machine.version(self.options.qemu)).encode()
        ).hexdigest()[:16]
        if key not in known:
            self.say(f"probing KVM with the {kernel.name} kernel")
            known[key] = os.access("/dev/kvm", os.W_OK) and self._probe(kernel)
            partial = cache.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(known))
            os.replace(partial, cache)
        return known[key]

    def _probe(self, kernel):
        with temporary_folder(self.out) as folder:
            guest = machine.Machine(folder, self.options.qemu, "kvm",
                                    variants.default("vtd"))
            seen = []

            def on_line(_now, line):
                if "rig[first]: userspace" in line:
                    seen.append(line)
                    raise processes.Stopped()

            try:
                guest.run(guest.command(kernel.image, kernel.initrd,
                                        "console=ttyS0,115200 panic=-1 "
                                        "rig.role=first", [],
                                        trace.events("vtd")),
                          on_line, KVM_PROBE_SECONDS)
            except (machine.Broken, machine.Lost, processes.Stopped):
                pass
            finally:
                guest.close()
            return bool(seen)

    # -- runs ------------------------------------------------------------------

    def execute(self, plans, before=None):
        """Run a list of Plans; outcomes in this order.

        before: a Before, so that what it knows of is not run again
        """
        if not plans:
            return []
        if before:
            results = self.side_by_side(before.run, before.numbered(plans))
        else:
            results = self.side_by_side(self.run_and_say, plans)
        self.outcomes += results
        return results

    def side_by_side(self, function, items):
        """Call a function for each item, so many at a time; results in this order."""
        results = [None] * len(items)
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            futures = {pool.submit(function, item): index
                       for index, item in enumerate(items)}
            try:
                for done in concurrent.futures.as_completed(futures):
                    results[futures[done]] = done.result()
            except BaseException:
                processes.stopping.set()
                processes.end_all()
                for future in futures:
                    future.cancel()
                raise
        return results

    def run_and_say(self, plan):
        outcome = self.run_plan(plan)
        result = outcome["result"]
        note = result["reason"] or "as it should be"
        self.say(f"{plan.title}: {result['verdict']} ({note})")
        return outcome

    def run_plan(self, plan):
        """One run, repeated if it was lost; its line is appended."""
        name = plan.title
        for _ in range(MAX_LOST):
            outcome = self._run_process(plan)
            outcome["scenario"], outcome["kernel"] = plan.scenario, plan.arm
            outcome["plan"] = plan
            if "lost" not in outcome:
                result = outcome["result"]
                result["session"] = self.name
                if plan.scenario.startswith(corrupt.PREFIX):
                    result["corruption"] = outcome.get("findings")
                self._append(result)
                return outcome
            with self._lock:
                self.lost += 1
            self.say(f"{name}: run lost, {outcome['lost']}; again")
        raise build.RigError(f"{name}: {MAX_LOST} runs in a row lost: wait "
                             f"until this host is less busy, or try another QEMU (QEMU=)")

    def _run_process(self, plan):
        """One run, beside no other one that needs as much memory."""
        if named(plan.scenario).memory_mib <= machine.LOW_MIB:
            return self._run_alone(plan)
        with self._large:
            return self._run_alone(plan)

    def _run_alone(self, plan):
        """A run is a process: it stamps console lines, and must not be held up."""
        kernel = self.kernels[plan.arm]
        image, initrd = kernel.image, kernel.initrd
        if plan.first:
            image = self.stock[plan.first].image
            initrd = self.stock[plan.first].initrds[kernel.name]
        options = self.options
        variant = plan.variant
        mode = variant.mode.replace(">", "-then-")
        extras = self.extras.get(plan.arm, {}) | dict(plan.settings)
        extras["checks_itself"] = kernel.checks_itself
        extras["last_function"] = None if plan.first else kernel.last_function
        with temporary_folder(
                self.out, keep=options.keep,
                name=f"{plan.scenario}-{variant.iommu}-{mode}-"
                     + run.label(plan.arm, plan.first).replace(" ", "-")) as folder:
            command = [sys.executable, os.path.abspath(__file__), "one-run",
                       plan.scenario, plan.arm, plan.first, str(image),
                       str(initrd), variant.iommu, variant.mode,
                       plan.qemu, self.accel, str(folder),
                       json.dumps(extras),
                       str(plan.seed), *plan.words]
            scenario = named(plan.scenario)
            scenario.extras = extras
            limit = (run.time_limit(scenario, plan.arm, variant, plan.first) +
                     scenario.judging)
            status, output = processes.run(command, limit)
            outcome = folder / "outcome.json"
            if outcome.exists():
                found = json.loads(outcome.read_text())
                found["folder"] = str(folder)
                failed = found.get("result", {}).get("verdict") == "fail"
                expected = plan.arm == "mainline" and "broken" not in found
                if plan.again:
                    (folder / "again").write_text(plan.again + "\n")
                if failed and not expected and not options.keep:
                    self._keep_failure(folder)
                return found
        if processes.stopping.is_set():
            raise processes.Stopped()
        raise RuntimeError(f"run of {plan.scenario} ended with status {status}:\n"
                           + output.decode("utf-8", "replace"))

    def _keep_failure(self, folder):
        keep = self.out / "failed" / folder.name
        keep.parent.mkdir(exist_ok=True)
        (folder / OWNER).unlink(missing_ok=True)
        os.replace(folder, keep)
        self.say(f"console and trace of the failure: {keep}")
        # of a build machine nothing may be left but what is printed
        words = keep / "qemu.stderr"
        if words.exists():          # not if QEMU was never started
            for line in words.read_text("utf-8", "replace").splitlines()[:3]:
                self.say(f"QEMU then: {line}")

    def _append(self, result):
        append_line(self.out / "results.jsonl", result)


def append_line(path, result):
    """Add a line to a file that other processes add lines to as well."""
    line = json.dumps(result).encode("ascii") + b"\n"
    with open(path, "ab+", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        drop_half_line(file)
        if file.write(line) != len(line):
            drop_half_line(file)
            raise build.RigError(f"{path.parent} is full: free some space")


def drop_half_line(file):
    """Cut off what a process left that was killed while it wrote a line."""
    size = file.seek(0, os.SEEK_END)
    end = size
    while end:
        start = max(0, end - 4096)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end != size:
        file.truncate(end)


class Journal:
    """Lines of a file that tell what has been done, so that what was ended goes on there.

    A line with another key, of another kernel say, does not count.
    """

    def __init__(self, path, *key):
        self.path = path
        self.key = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        self.lines, self.others = [], 0
        if path.exists():
            with open(path, "rb+") as file:
                drop_half_line(file)
            lines = [json.loads(text) for text in
                     path.read_text(encoding="ascii").splitlines()]
            self.lines = [line for line in lines if line["key"] == self.key]
            self.others = len(lines) - len(self.lines)

    def add(self, **line):
        line = {"key": self.key} | line
        append_line(self.path, line)
        return line


class Before:
    """What an invocation with the same kernels has run that was ended before its table.

    Runs of another rig do not count: they may have been judged in another way.
    """

    def __init__(self, session, name):
        here = pathlib.Path(__file__).resolve().parent
        self.session = session
        self.journal = Journal(
            session.out / f"{session.file_name(name)}.jsonl",
            sorted((kernel.name, kernel.digest) for kernel in session.kernels.values()),
            [(str(path.relative_to(here)), hashlib.sha256(path.read_bytes()).hexdigest())
             for path in sorted(here.rglob("*.py"))])
        self.outcomes = {tuple(line["run"]): line["outcome"] for line in self.journal.lines}

    @staticmethod
    def numbered(plans):
        """Each plan with what it is known by: the same one may be there several times."""
        seen = collections.Counter()
        found = []
        for plan in plans:
            seen[plan.title] += 1
            found.append(((plan.title, seen[plan.title]), plan))
        return found

    def left(self, plans):
        return sum(run not in self.outcomes for run, _ in self.numbered(plans))

    def run(self, item):
        name, plan = item
        if name in self.outcomes:
            return self.outcomes[name] | {"plan": plan}
        if self.session.time_is_over():
            return None
        outcome = self.session.run_and_say(plan)
        self.outcomes[name] = {key: value for key, value in outcome.items() if key != "plan"}
        self.journal.add(run=list(name), outcome=self.outcomes[name])
        return outcome

    def done(self):
        """The table is there: the next invocation begins anew."""
        self.journal.path.unlink(missing_ok=True)


# Locked by whoever uses the folder that it is in.
OWNER = "owner"


def sweep(out):
    """Remove folders of runs whose rig was killed."""
    for owner in (out / "runs").glob(f"*/{OWNER}"):
        try:
            with open(owner, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(owner.parent, ignore_errors=True)
        except OSError:
            pass        # somebody is at work there, or has just ended


class temporary_folder:
    """A folder for one run below out/runs, gone afterwards unless kept."""

    def __init__(self, out, keep=False, name="probe"):
        self.keep = keep
        parent = out / "runs"
        parent.mkdir(exist_ok=True)
        number = 1
        while True:
            self.path = parent / f"{name}-{number}"
            number += 1
            try:
                self.path.mkdir()
            except FileExistsError:
                continue
            # the name must be free there too, should the run fail
            if not (out / "failed" / self.path.name).exists():
                break
            self.path.rmdir()
        self.owner = open(self.path / OWNER, "wb")
        fcntl.flock(self.owner, fcntl.LOCK_EX)

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        if self.keep:
            (self.path / OWNER).unlink(missing_ok=True)
        else:
            shutil.rmtree(self.path, ignore_errors=True)
        self.owner.close()


def write_whole(path, text):
    """Write a file so that it is never there in part."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    os.replace(partial, path)


# -- subcommands ---------------------------------------------------------------

def architecture(options):
    """By what --iommu asks for, or by what the kernels are."""
    if options.iommu:
        return arch.of(options.iommu)
    return arch.of_build(pathlib.Path(options.framework or options.mainline or ""))


def chosen_variants(options, modes):
    """What --iommu and --mode ask for; modes: without --mode (None: the default)."""
    iommus = [options.iommu] if options.iommu else list(options.arch.MODES)
    modes = options.mode or modes
    found = []
    for iommu in iommus:
        if not modes:
            found.append(variants.default(iommu))
        elif modes == "all" or options.iommu:
            found += variants.select(iommu, modes)
        else:       # all IOMMUs: what each has of these modes
            known = [m for m in modes.split(",") if m in variants.MODES[iommu]]
            if known:
                found += variants.select(iommu, ",".join(known))
    if not found:
        raise build.RigError(f"no IOMMU has a mode {modes}: see the list command")
    return found


def plans_for(session, arms, chosen, runs_of, known=scenarios.ALL, first=""):
    """Plans for Session.execute(), and why some things cannot be run.

    first: the kernel that crashes, if it is one of stock.py.
    """
    plans, reasons = [], {}
    only = session.options.only.split(",") if session.options.only else None
    for name in only or ():
        if name not in known:
            raise build.RigError(f"no scenario {name} here: there are "
                                 + ", ".join(known))
    for variant in chosen:
        for name, scenario in known.items():
            if only and name not in only:
                continue
            if first and not (scenario.stock or session.stock[first].has_rig_modules):
                continue
            fitting = [arm for arm in arms if scenario().applies(variant, arm)]
            if not fitting or not runs_of(scenario, variant):
                continue
            qemu, why = session.qemu_for(scenario(), variant)
            if why:
                reasons[f"{name}, {variant}"] = why
                continue
            plans += [Plan(name, variant, arm, qemu, first=first) for arm in fitting
                      for _ in range(runs_of(scenario, variant))]
    return plans, reasons


# What the point is, in a few minutes: (scenario, IOMMU, mode or None, runs). What goes
# wrong by a race is run more than once.
DEMO = (("hda", "vtd", None, 2), ("bridge", "vtd", None, 2), ("reboot", "vtd", None, 1),
        ("quiet", "vtd", None, 1), ("removed", "vtd", None, 1),
        ("hda", "vtd", "pt>translated", 1),
        ("hda", "amdvi", None, 2), ("reboot", "amdvi", None, 1),
        ("quiet", "amdvi", None, 1),
        ("hda", "riscv", None, 2), ("bridge", "riscv", None, 2),
        ("driverless", "riscv", None, 1), ("quiet", "riscv", None, 1),
        ("hda", "riscv", "passthrough>translated", 1),
        ("hda", "smmuv3", None, 2), ("functions", "smmuv3", None, 2),
        ("driverless", "smmuv3", None, 1), ("quiet", "smmuv3", None, 1),
        ("hda", "smmuv3", "stage2", 1), ("hda", "smmuv3", "passthrough>stage1", 1))


def demo(session):
    """The framework beside the unmodified kernel, in a few minutes."""
    options = session.options
    session.need_kernel("framework")
    arms = ["mainline", "framework"] if session.open_kernel("mainline") else ["framework"]
    if options.all or options.only or options.mode or options.first:
        plans, skipped = shown_plans(session, arms, None, lambda s, v: 1)
        return show(session, arms, "demo", plans, skipped)
    plans, skipped = [], {}
    for name, iommu, mode, runs in DEMO:
        if options.iommu not in (None, iommu) or iommu not in options.arch.MODES:
            continue
        chosen = variants.select(iommu, mode) if mode else [variants.default(iommu)]
        more = plans_for(session, arms, chosen, lambda s, v, n=runs: options.runs or n,
                         {name: scenarios.ALL[name]})
        plans += more[0]
        skipped |= more[1]
    return show(session, arms, "demo", plans, skipped)


def compare(session):
    """The unmodified kernel beside the framework, in the same table."""
    session.need_kernel("mainline")
    session.need_kernel("framework")
    arms = list(scenarios.ARMS)
    plans, skipped = shown_plans(
        session, arms, "all", lambda s, v: s.compare_runs if v.is_default else 1)
    if not session.options.first and not session.options.only:
        more = stock_plans(session, "all", ["framework"], chosen_variants(
            session.options, None), lambda s, v: int(s is scenarios.Hda))
        plans += more[0]
        skipped |= more[1]
    return show(session, arms, "compare", plans, skipped)


def shown_plans(session, arms, modes, runs_of):
    """Plans for a table, and what is skipped, as the options have it."""
    options = session.options
    chosen = chosen_variants(options, modes)
    if options.runs:
        runs_of = lambda s, v: options.runs         # noqa: E731
    if options.first:
        return stock_plans(session, options.first, arms, chosen, runs_of)
    return plans_for(session, arms, chosen, runs_of)


def stock_plans(session, words, arms, chosen, runs_of):
    """The same with kernels of a distribution as those that crash."""
    plans = []
    names, skipped = session.open_stock(words, arms)
    for name in names:
        more, why = plans_for(session, arms, chosen, runs_of, first=name)
        plans += more
        skipped |= {f"{what}, after {name}": reason for what, reason in why.items()}
    return plans, skipped


def show(session, arms, name, plans, skipped):
    if not plans:
        raise build.RigError("nothing to run: " + ("; ".join(
            f"{what}: {why}" for what, why in skipped.items()) or "see the list command"))
    session.choose_accel()
    before = Before(session, name)
    left = before.left(plans)
    session.say(f"{len(plans)} crashes, {session.options.jobs} at the same time"
                + (f", {len(plans) - left} of them have run before" if left < len(plans) else "")
                + (f"; {before.journal.others} of other kernels or another rig do not count"
                   if before.journal.others else ""))
    try:
        session.execute(plans, before)
    except BaseException:
        session.say(f"{before.left(plans)} crashes are left: the same command goes on "
                    f"with them")
        raise
    session.outcomes = [outcome for outcome in session.outcomes if outcome]
    left = before.left(plans)
    table = report.table(session.outcomes, session.lost)
    table += "".join(f"\nSKIP {what}: {why}" for what, why in skipped.items())
    table += "\n" + report.verdict(session.outcomes)
    if left:
        table += f"\n{left} crashes have not run: the same command goes on with them"
    else:
        before.done()
    print(table)
    name = session.file_name(name)
    write_whole(session.out / f"{name}.txt", table + "\n")
    for picture in report.picture(session.outcomes, arms, session.out / name):
        session.say(f"picture: {picture}")
    write_page(session, name, arms, skipped)
    failed = [o for o in session.outcomes if o["kernel"] != "mainline" and
              o["result"]["verdict"] != "pass"]
    return 1 if failed or left else 0


def write_page(session, name, arms, skipped):
    session.say("page: " + str(page.write(
        session.out / f"{name}.html", "DMA of devices left running by a kernel that "
        "crashed", session.name, session.outcomes, arms, skipped, session.lost)))


def is_checked(session, scenario, variant):
    """Whether check runs a scenario on this IOMMU, or was asked to."""
    if session.options.only:
        return True
    if session.arch.CHECKED:
        return scenario.name in session.arch.CHECKED
    return scenario.check_on in (None, variant.iommu) or bool(session.options.iommu)


def check(session):
    """Pass or fail, with the controls that must fail on the unmodified kernel."""
    checks = Checks()
    framework = session.open_kernel("framework")
    mainline = session.open_kernel("mainline")
    if not framework and not mainline:
        print("SKIP: no kernel to test; set FRAMEWORK= and MAINLINE=, or use "
              "--framework and --mainline, to kernel builds")
        return KSFT_SKIP
    session.choose_accel()

    chosen = [variant for variant in chosen_variants(session.options, "all")
              if session.options.mode or variant.mode not in session.arch.OTHER_WORDS]
    runs = session.options.runs

    def runs_of(scenario, variant):
        if not is_checked(session, scenario, variant):
            return 0
        if variant.is_default:
            return runs or int(scenario.checked)
        return runs or int(scenario.in_each_mode or
                           variant.mode in scenario.check_modes)

    plans, skipped = plans_for(session, ["framework"], chosen, runs_of)
    plans += plans_for(session, ["block"], [v for v in chosen if v.is_default],
                       lambda s, v: int(s.check_blocked and is_checked(session, s, v)))[0]
    if framework:
        if not session.options.only and session.arch.STOCK:
            more = stock_plans(session, session.options.first or stock.CHECKED,
                               ["framework"], [v for v in chosen if v.is_default][:1],
                               lambda s, v: int(s is scenarios.Hda))
            plans += more[0]
            skipped |= more[1]
        session.execute(plans)
    results = collections.OrderedDict((plan, []) for plan in plans)
    for outcome in session.outcomes:
        results[outcome["plan"]].append(outcome["result"])
    for plan, of_plan in results.items():
        name = plan.title
        if not framework:
            checks.skip(name, "no --framework build")
            continue
        reasons = [result["reason"] for result in of_plan
                   if result["verdict"] != "pass"]
        checks.report(not reasons, f"{name}, {len(of_plan)} runs",
                      f"{len(reasons)} failed: {reasons[0]}" if reasons else "")
    for what, why in skipped.items():
        checks.skip(what, why)
    check_controls(session, checks, mainline, chosen)
    check_corruption(session, checks, [v for v in chosen if not v.mixed])
    if session.lost:
        print(f"# {session.lost} runs lost by QEMU or a busy host, repeated")
    if session.outcomes:
        write_page(session, session.file_name("check"), list(scenarios.ARMS), skipped)
    return checks.end()


def debug_boots(session):
    """Kernels that look for their own defects: every scenario, every mode, no complaint."""
    checks = Checks()
    kernel = session.need_kernel("framework")
    if not kernel.checks_itself:
        raise build.RigError(f"{kernel.build} has none of the options of "
                             f"{build.HERE / 'config.debug'}")
    session.choose_accel()
    chosen = chosen_variants(session.options, "all")
    plans, skipped = plans_for(session, ["framework", "block"], chosen, lambda s, v: int(
        v.is_default or s.in_each_mode))
    plans = [plan for plan in plans if plan.arm == "framework" or
             KNOWN[plan.scenario].check_blocked and plan.variant.is_default]
    session.say(f"{len(plans)} crashes, {session.options.jobs} at the same time")
    for plan, outcome in zip(plans, session.execute(plans)):
        result = outcome["result"]
        checks.report(result["verdict"] == "pass", plan.title, result["reason"])
    for what, why in skipped.items():
        checks.skip(what, why)
    check_corruption(session, checks, [v for v in chosen if not v.mixed], controls=False)
    return checks.end()


# Scenarios whose allocations fail.
STARVED = ("hda", "groups")


def allocations(session):
    """Each allocation of the framework fails once, in a crash: the dump is saved."""
    options = session.options
    checks = Checks()
    kernel = session.need_kernel("framework")
    session.choose_accel()
    places = starve.sites(kernel)
    session.say(f"{len(places)} places where the framework allocates")
    reached, table = set(), [("scenario", "IOMMU", "allocations", "places", "made to fail",
                              "dump saved", "harm")]
    for variant in chosen_variants(options, None):
        for name in options.only.split(",") if options.only else STARVED:
            scenario = named(starve.PREFIX + name)
            if not scenario.applies(variant, "framework"):
                continue
            qemu, why = session.qemu_for(scenario, variant)
            if why:
                checks.skip(f"{scenario.name}, {variant}", why)
                continue
            plan = Plan(scenario.name, variant, "framework", qemu,
                        settings=(("sites", list(places.values())),))
            (first,) = session.execute([plan])
            checks.report(first["result"]["verdict"] == "pass",
                          f"{plan.title}, all allocations counted", first["result"]["reason"])
            if not first.get("findings"):
                continue
            hits = first["findings"]["hits"]
            reached |= set(hits)
            plans = [plan._replace(settings=(*plan.settings, ("failing", case)))
                     for case in starve.cases(hits, scenario)]
            session.say(f"{name}, {variant}: {sum(hits.values())} allocations at "
                        f"{len(hits)} places, {len(plans)} crashes")
            good = saved = 0
            for tried, outcome in zip(plans, session.execute(plans)):
                result = outcome["result"]
                good += result["verdict"] == "pass"
                saved += bool(result["vmcore"])
                if result["verdict"] == "pass" and not outcome["findings"]["tested"]:
                    checks.skip(tried.title, "called less often in this run")
                    continue
                checks.report(result["verdict"] == "pass", tried.title, result["reason"])
            table.append((name, str(variant), str(sum(hits.values())), str(len(hits)),
                          str(len(plans)), str(saved), str(len(plans) - good)))
    text = report.plain_table(table, left=2)
    text += "\nnot reached: " + (", ".join(sorted(set(places) - reached)) or "none")
    print(text)
    write_whole(session.out / f"{session.file_name('allocations')}.txt", text + "\n")
    return checks.end()


def control_figures(plan):
    """Figures that show the damage on the unmodified kernel, if any should."""
    return KNOWN[plan.scenario]().control_figures(plan.variant)


def check_controls(session, checks, mainline, chosen):
    """The scenarios must go wrong without the framework, or they show nothing."""
    plans, _ = plans_for(session, ["mainline"], chosen, lambda s, v: int(
        s.check_control and is_checked(session, s, v) and
        (s.checked and v.is_default or s.in_each_mode or v.mode in s.check_modes)))
    plans = [plan for plan in plans if control_figures(plan)]
    options = session.options
    # That it goes wrong with each of the drivers is for compare, and so are the modes in
    # which it goes wrong like in the default one.
    if not options.only and not options.iommu:
        on = {plan.scenario: plan.variant.iommu for plan in reversed(plans)}
        plans = [plan for plan in plans if KNOWN[plan.scenario].in_each_mode or
                 plan.variant.iommu == on[plan.scenario]]
    if not options.only and not options.mode:
        plans = [plan for plan in plans if plan.variant.is_default or
                 plan.variant.control_shows is not None or
                 plan.variant.mode in KNOWN[plan.scenario].check_modes]
    waiting = plans
    if not mainline:
        for plan in waiting:
            checks.skip(f"{plan.scenario}, {plan.variant}: control on mainline",
                        "no --mainline build")
        return
    for tries in range(1, CONTROL_TRIES + 1):
        for outcome in session.execute(list(waiting)):
            plan, result = outcome["plan"], outcome["result"]
            if any(result[figure] for figure in control_figures(plan)):
                waiting.remove(plan)
                checks.report(True, f"{plan.scenario}, {plan.variant}: control on "
                              f"mainline fails as it should, in run {tries}",
                              result["reason"])
    for plan in waiting:
        checks.report(False, f"{plan.scenario}, {plan.variant}: control on mainline",
                      f"{CONTROL_TRIES} runs and nothing went wrong: the scenario "
                      f"does not show what it is for")


# -- corruption ------------------------------------------------------------------

def corruption_plans(session, chosen, only):
    """Plans for the cases of these modes on the framework, for the controls on the
    unmodified kernel, and why some cannot be run.

    only: {variant: names of cases} or None, which is all.
    """
    plans, controls, reasons = [], [], {}
    for variant in chosen:
        cases = [case for case in corrupt.cases_of(variant)
                 if only is None or case in only.get(str(variant), ())]
        if not cases:
            continue
        qemu, why = session.qemu_for(named(corrupt.PREFIX + cases[0]), variant)
        if why:
            reasons.update({f"{case}, {variant}": why for case in cases})
            continue
        for case in cases:
            make = [Plan(corrupt.PREFIX + case, variant, arm, qemu,
                         seed=session.options.seed)
                    for arm in ("framework", "mainline")]
            plans.append(make[0])
            if case in corrupt.CONTROLS.get(str(variant), ()):
                controls.append(make[1])
    return plans, controls, reasons


def run_corruption(session, checks, plans, controls, reasons):
    """Run them; Checks says what came of it, the table what was seen."""
    outcomes = []
    if "framework" in session.kernels:
        outcomes = session.execute(plans)
    for plan, outcome in zip(plans, outcomes):
        result = outcome["result"]
        checks.report(result["verdict"] == "pass",
                      f"{plan.scenario} on {plan.arm}, {plan.variant}",
                      result["reason"])
    for plan in () if outcomes else plans:
        checks.skip(f"{plan.scenario}, {plan.variant}", "no --framework build")
    unmodified = []
    if "mainline" in session.kernels:
        unmodified = session.execute(controls)
    for plan, outcome in zip(controls, unmodified):
        result = outcome["result"]
        # a machine that did not get as far as the crash shows nothing
        damage = bool(result["crash_hits"]) or (
            not result["vmcore"] and "forged" in outcome["reached"])
        checks.report(damage, f"{plan.scenario}, {plan.variant}: control on mainline",
                      (result["reason"] if damage else
                       "no access to the crash kernel's memory, and the dump is there: "
                       "the case does not show what it is for"))
    for plan in () if unmodified else controls:
        checks.skip(f"{plan.scenario}, {plan.variant}: control on mainline",
                    "no --mainline build")
    for what, why in reasons.items():
        checks.skip(f"{corrupt.PREFIX}{what}", why)
    return outcomes + unmodified


def check_corruption(session, checks, chosen, controls=True):
    """A few cases for the check command, apart from the runs that are on the page."""
    if session.options.only:
        return
    on_page, session.outcomes = session.outcomes, []
    name, session.name = session.name, session.name + "-corrupt"
    plans, unmodified, reasons = corruption_plans(session, chosen, corrupt.CHECKED)
    outcomes = run_corruption(session, checks, plans, unmodified if controls else [], reasons)
    if outcomes:
        print(report.corruption_table(outcomes, session.lost))
    session.outcomes, session.name = on_page, name


def corrupt_tables(session):
    """Tables corrupted between the panic and the crash kernel: one table."""
    options = session.options
    checks = Checks()
    chosen = [variant for variant in chosen_variants(options, "all")
              if corrupt.cases_of(variant)]
    if not chosen:
        raise build.RigError("there are no cases for this mode: "
                             + ", ".join(f"{iommu} has {', '.join(modes)}"
                                         for iommu, modes in corrupt.CASES.items()))
    only = None
    if options.only:
        cases = [case.removeprefix(corrupt.PREFIX) for case in options.only.split(",")]
        known = {case for variant in chosen for case in corrupt.cases_of(variant)}
        for case in cases:
            if case not in known:
                raise build.RigError(f"no case {case} in this mode: there are "
                                     + ", ".join(sorted(known)))
        only = {str(variant): cases for variant in chosen}
    session.need_kernel("framework")
    session.open_kernel("mainline")
    session.choose_accel()
    plans, controls, reasons = corruption_plans(session, chosen, only)
    session.say(f"{len(plans)} cases and {len(controls)} controls, seed {options.seed}")
    outcomes = run_corruption(session, checks, plans, controls, reasons)
    table = report.corruption_table(outcomes, session.lost)
    print(table)
    write_whole(session.out / f"{session.file_name('corrupt')}.txt", table + "\n")
    return checks.end()


# -- soak ------------------------------------------------------------------------

# One cycle in so many corrupts tables.
CORRUPT_ONE_IN = 6
MAX_DELAY = 2.0                 # seconds before the panic


def can_be_run(session, scenario, variant):
    """Even if the QEMU that it needs cannot be had here: a seed means the same anywhere."""
    why = scenario.why_not(variant, session.options.qemu)
    if isinstance(why, machine.NeedsQemu11):
        newer, _missing = session.newer_qemu()
        why = scenario.why_not(variant, newer) if newer else None
    return not why


def soak_choices(session):
    """Everything that a cycle may be: (scenario, variant), in a fixed order."""
    options = session.options
    crashes, corruptions = [], []
    for variant in chosen_variants(options, "all"):
        for name, scenario in scenarios.ALL.items():
            if options.only and name not in options.only.split(","):
                continue
            if scenario().applies(variant, "framework") and \
               can_be_run(session, scenario(), variant):
                crashes.append((name, variant))
        if not options.only:
            corruptions += [(corrupt.PREFIX + case, variant)
                            for case in corrupt.cases_of(variant)
                            if can_be_run(session, named(corrupt.PREFIX + case), variant)]
    if not crashes:
        raise build.RigError("no scenario can be run in this mode: see the list command")
    return crashes, corruptions


def soak_cycle(options, choices, number):
    """What cycle number of this seed is: the same each time."""
    chance = random.Random(f"{options.seed} {number}")
    crashes, corruptions = choices
    pick = crashes
    if chance.randrange(CORRUPT_ONE_IN) == 0 and corruptions:
        pick = corruptions
    name, variant = chance.choice(pick)
    words = [f"rig.delay={chance.uniform(0, MAX_DELAY):.3f}"]
    if chance.randrange(2):
        words.append("rig.reversed")
    again = f"kdump_rig.py soak --seed {options.seed} --cycle {number}"
    for option in ("iommu", "mode", "only"):
        if getattr(options, option):
            again += f" --{option} {shlex.quote(getattr(options, option))}"
    return Plan(name, variant, "framework", None, tuple(words),
                chance.randrange(1 << 32), again)


class Soaked:
    """Cycles of one seed that have run, in this invocation and in earlier ones.

    A cycle of another kernel, or of other choices, is not one of these.
    """

    def __init__(self, session, choices):
        options = session.options
        self.journal = Journal(
            session.out / f"{session.file_name('soak')}-{options.seed}.jsonl",
            session.kernels["framework"].digest, options.iommu, options.mode, options.only,
            [[(name, str(variant)) for name, variant in kind] for kind in choices])
        self.lines = {line["cycle"]: line for line in self.journal.lines}
        self.others = self.journal.others

    def add(self, number, plan, verdict, reason):
        self.lines[number] = self.journal.add(
            cycle=number, scenario=plan.scenario, iommu=plan.variant.iommu,
            mode=plan.variant.mode, verdict=verdict, reason=reason or "")

    def count(self, verdict, iommu=None):
        return sum(line["verdict"] == verdict and iommu in (None, line["iommu"])
                   for line in self.lines.values())

    def __str__(self):
        return ", ".join(f"{self.count(verdict)} {word}" for verdict, word in (
            ("pass", "passed"), ("fail", "failed"), ("skip", "skipped")))

    def table(self):
        """What ran, by IOMMU."""
        rows = [("IOMMU", "cycles", "passed", "failed", "skipped", "modes", "scenarios",
                 "corrupted tables")]
        for iommu in sorted({line["iommu"] for line in self.lines.values()}):
            mine = [line for line in self.lines.values() if line["iommu"] == iommu]
            ran = {line["scenario"] for line in mine}
            forged = {name for name in ran if name.startswith(corrupt.PREFIX)}
            rows.append((iommu, len(mine), *(self.count(verdict, iommu) for verdict in
                                             ("pass", "fail", "skip")),
                         len({line["mode"] for line in mine}), len(ran - forged),
                         len(forged)))
        return report.plain_table([tuple(map(str, row)) for row in rows], left=1)


def soak(session):
    """Crash cycles by chance: any scenario in any mode, at any moment."""
    options = session.options
    session.need_kernel("framework")
    session.choose_accel()
    choices = soak_choices(session)
    soaked = Soaked(session, choices)
    cycles = [options.cycle] if options.cycle else range(1, options.cycles + 1)
    # one that is asked for by its number is wanted again
    left = [number for number in cycles if options.cycle or number not in soaked.lines]
    session.say(f"{len(cycles)} cycles, seed {options.seed}" + (
        f", {len(cycles) - len(left)} of them have run before" if len(left) < len(cycles)
        else "") + (f"; {soaked.others} of another kernel or other options do not count"
                    if soaked.others else ""))
    soaked.lines = {number: line for number, line in soaked.lines.items()
                    if number in cycles and number not in left}
    tally = threading.Lock()

    def one(number):
        if session.time_is_over():
            return
        plan = soak_cycle(options, choices, number)
        name = f"{plan.scenario} {plan.variant} {' '.join(plan.words)}"
        qemu, why = session.qemu_for(named(plan.scenario), plan.variant)
        verdict, reason = "skip", why
        if not why:
            result = session.run_plan(plan._replace(qemu=qemu))["result"]
            verdict, reason = result["verdict"], result["reason"]
        with tally:
            soaked.add(number, plan, verdict, reason)
            session.say(f"cycle {number}: {name}: {verdict}"
                        + (f" ({reason})" if reason else "")
                        + f"; {soaked} of {len(cycles)}")
            if verdict == "fail":
                session.say(f"again: {plan.again}")

    session.side_by_side(one, left)
    if session.lost:
        print(f"# {session.lost} runs lost by QEMU or a busy host, repeated")
    print(soaked.table())
    if len(soaked.lines) < len(cycles):
        print(f"{len(cycles) - len(soaked.lines)} cycles have not run: the same command "
              f"with --seed {options.seed} goes on")
    print(f"{soaked}")
    return int(bool(soaked.count("fail")) or len(soaked.lines) < len(cycles))


def save_dumps(session):
    """Real tools save real dumps, and open them again: a table."""
    tools = session.dump_tools()
    session.need_kernel("framework", tools)
    mainline = None
    if not session.options.short:
        mainline = session.open_kernel("mainline", tools)
    for name in {kernel.name for kernel in session.kernels.values()}:
        session.extras[name]["vmlinux"] = str(session.kernels[name].vmlinux)
    session.choose_accel()
    chosen = chosen_variants(session.options, ",".join(
        mode for iommu, modes in dumps.MODES.items() for mode in modes
        if session.options.iommu in (None, iommu)))
    runs = session.options.runs or 1
    def runs_of(scenario, variant):
        if session.options.short and not (variant.is_default and
                                          scenario.name == dumps.SHORT[variant.iommu]):
            return 0
        return runs

    plans, skipped = plans_for(session, ["framework"], chosen, runs_of, dumps.ALL)
    controls, _ = plans_for(session, ["mainline"], chosen, lambda s, v: int(
        bool(mainline)), dumps.ALL)
    session.execute(plans + controls)

    checks = Checks()
    for outcome in session.outcomes:
        plan, result = outcome["plan"], outcome["result"]
        if plan.arm == "framework":
            checks.report(result["verdict"] == "pass", f"{plan.scenario}, {plan.variant}",
                          result["reason"])
    for what, why in skipped.items():
        checks.skip(what, why)
    check_dump_controls(session, checks, controls)
    table = dumps.table(session.outcomes)
    print(table)
    write_whole(session.out / "dumps.txt", table + "\n")
    return checks.end()


def check_dump_controls(session, checks, controls):
    """On the unmodified kernel something must go wrong with each IOMMU."""
    for iommu in dumps.MODES:
        mine = [plan for plan in controls if plan.variant.iommu == iommu]
        name = f"control on mainline, {iommu}"
        if not mine:
            checks.skip(name, "no --mainline build, or nothing of it was asked for")
            continue
        for tries in range(1, CONTROL_TRIES + 1):
            bad = [o for o in session.outcomes if o["plan"] in mine and
                   (o["result"]["faults"] or o["result"]["crash_hits"])]
            if bad:
                checks.report(True, f"{name} fails as it should, in {len(bad)} of "
                              f"{tries * len(mine)} runs", bad[0]["result"]["reason"])
                break
            if tries < CONTROL_TRIES:
                session.execute(mine)
        else:
            checks.report(False, name, f"{CONTROL_TRIES} times {len(mine)} runs and "
                          f"nothing went wrong: the dumps do not show what they are for")


def installed_debian(session):
    """An installed Debian crashes, saves its dump, and boots again."""
    options = session.options
    tools = session.dump_tools()
    checks = Checks()
    kernel = session.need_kernel("framework", tools)
    session.choose_accel()
    only = options.only.split(",") if options.only else list(debian.ALL)
    plans = []
    if "dump-debian" in only:
        plans += own_debian(session, checks, kernel)
    if "dump-package" in only and options.package:
        for suite in options.suite.split(","):
            plans += packaged_debian(session, checks, kernel, suite)
    if not plans:
        return checks.end() or KSFT_SKIP
    session.say(f"{len(plans)} machines, three boots each, which takes minutes")
    for outcome in session.execute(plans):
        result = outcome["result"]
        good = result["verdict"] == "pass"
        if outcome["plan"].arm == "mainline":
            good = any(result[figure] for figure in page.DAMAGE)
        checks.report(good, outcome["plan"].title, result["reason"])
    table = dumps.table(session.outcomes)
    print(table)
    write_whole(session.out / "debian.txt", table + "\n")
    return checks.end()


def own_debian(session, checks, kernel):
    """Plans for machines with our kernel, as production and as crash kernel."""
    image, why = debian.make_image(kernel, session.out, session.say)
    if why:
        checks.skip("dump-debian", why)
        return []
    settings = (("image", str(image)), ("vmlinux", str(kernel.vmlinux)))
    return [Plan("dump-debian", variant, "framework", session.options.qemu,
                 settings=settings)
            for variant in chosen_variants(session.options, None)]


def packaged_debian(session, checks, kernel, suite):
    """Plans for machines with Debian's kernel, in which the package is installed."""
    package = session.options.package
    # without it kdump-tools takes Debian's kernel for the crash as well: the control
    session.kernels.setdefault("mainline", kernel)
    session.extras.setdefault("mainline", session.extras["framework"])
    plans, vmlinux = [], None
    for arm, added in (("framework", package), ("mainline", None)):
        image, why = debian.make_image(kernel, session.out, session.say, suite, False,
                                       added)
        if not why and not vmlinux:
            # both machines have the same kernel
            installed = debian.Installed(suite, image)
            session.stock[installed.name] = installed
            session.say(f"debug information of Linux {installed.release}, for crash")
            vmlinux, why = debian.fetch_vmlinux(session.out, installed.release)
        if why:
            checks.skip(f"dump-package, {suite}", why)
            return []
        crashkernel = session.options.crashkernel or (
            debian.crashkernel_of(package) if added else debian.STOCK_CRASHKERNEL)
        settings = (("image", str(image)), ("vmlinux", str(vmlinux)),
                    ("crashkernel", crashkernel))
        plans += [Plan("dump-package", variant, arm, session.options.qemu,
                       settings=settings, first=installed.name)
                  for variant in chosen_variants(session.options, None)]
    return plans


def small_kernels(session):
    """Crash kernels with little memory: many devices, and much mapped memory."""
    session.need_kernel("framework")
    mainline = session.open_kernel("mainline")
    session.choose_accel()
    checks = Checks()
    limits = []
    for variant in chosen_variants(session.options, None):
        for case in small.CASES:
            small_case(session, checks, variant, mainline, case)
        for size in small.SIZES:
            plan = small_plan(session, checks, "small-fill", variant, "framework", ())
            if plan:
                limits.append(f"{variant}, {small_search(session, checks, plan, size)}")
    table = "\n".join([small.table(session.outcomes), *limits])
    print(table)
    write_whole(session.out / "small.txt", table + "\n")
    return checks.end()


def small_plan(session, checks, name, variant, arm, settings):
    """A Plan, or None if it cannot be run or was not asked for."""
    if session.options.only and name not in session.options.only.split(","):
        return None
    qemu, why = session.qemu_for(KNOWN[name](), variant)
    if why:
        checks.skip(f"{name}, {variant}", why)
        return None
    return Plan(name, variant, arm, qemu, settings=tuple(settings))


def small_case(session, checks, variant, mainline, case):
    """One of small.CASES, with its control."""
    scenario, size, fill, fits = case
    for arm in ("framework", "mainline") if mainline else ("framework",):
        plan = small_plan(session, checks, scenario, variant, arm,
                          {"crashkernel": size, "fill": fill}.items())
        if not plan:
            return
        (outcome,) = session.execute([plan])
        result, found = outcome["result"], outcome.get("findings") or {}
        name = (f"{scenario}, {variant}, crashkernel={size}M, {fill[0]:,} pages mapped "
                f"for each device")
        if arm == "mainline":
            bad = result["shared_iova_pages"]
            checks.report(bool(bad), f"{name}: control on mainline",
                          "fails as it should" if bad else "nothing went wrong")
            continue
        checks.report(result["verdict"] == "pass", name, result["reason"])
        checks.report(bool(found) and bool(found["blocked"]) != fits,
                      f"{name}: {'all are carried' if fits else 'some are blocked'}",
                      f"{found.get('carried')} carried, {found.get('blocked')} blocked")


def small_search(session, checks, plan, size):
    """Look for the limit of one reservation. Each run on the way has to pass."""
    search = small.Search(size)
    while not search.done:
        settings = small.fill_settings(size, search.next)
        (outcome,) = session.execute([plan._replace(settings=tuple(settings.items()))])
        result, found = outcome["result"], outcome.get("findings")
        checks.report(result["verdict"] == "pass",
                      f"small-fill, {plan.variant}, crashkernel={size}M, "
                      f"{search.next} MiB", result["reason"])
        if not found:
            break
        search.found(bool(found["carried"]))
    return search


# They need tools of a distribution, or sizes, that are known for x86 only.
X86_ONLY = (save_dumps, installed_debian, small_kernels)


class Checks:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def report(self, good, name, note):
        self.passed += good
        self.failed += not good
        print(f"{'PASS' if good else 'FAIL'} {name}{': ' + note if note else ''}",
              flush=True)

    def skip(self, name, why):
        self.skipped += 1
        print(f"SKIP {name}: {why}", flush=True)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed, "
              f"{self.skipped} skipped")
        return 1 if self.failed else 0


def run_scenario(session):
    """One scenario on one kernel, as often as wanted."""
    options = session.options
    scenario = scenarios.ALL[options.scenario]()
    options.iommu = options.iommu or next(iter(options.arch.MODES))
    chosen = chosen_variants(options, None)
    plans = []
    for variant in chosen:
        if not scenario.applies(variant, options.arm):
            reason = f"it has no meaning on {options.arm} in this mode"
        else:
            qemu, reason = session.qemu_for(scenario, variant)
        if reason:
            print(f"SKIP {scenario.name}, {variant}: {reason}")
        else:
            plans += [Plan(scenario.name, variant, options.arm, qemu)
                      ] * (options.runs or 1)
    if not plans:
        return KSFT_SKIP
    session.need_kernel("mainline" if options.arm == "mainline" else "framework")
    if options.first:
        if not scenario.stock and "/" not in options.first:
            raise build.RigError(f"{scenario.name} needs a module of the rig's in the "
                                 f"kernel that crashes: there is none for {options.first}")
        names, missing = session.open_stock(options.first, [options.arm])
        for what, why in missing.items():
            print(f"SKIP {what}: {why}")
        plans = [plan._replace(first=name) for name in names for plan in plans]
        if not plans:
            return KSFT_SKIP
    session.choose_accel()
    session.execute(plans)
    print(report.table(session.outcomes, session.lost))
    if options.keep:
        for outcome in session.outcomes:
            print(outcome["folder"])
    return int(any(o["result"]["verdict"] != "pass" for o in session.outcomes))


def list_all():
    names = max(map(len, KNOWN))
    for name, scenario in KNOWN.items():
        missing = [arm for arm in scenarios.ARMS if arm not in scenario.arms]
        notes = [f"not on {', '.join(missing)}"] if missing else []
        notes += ["in mixed modes too"] if scenario.mixed else []
        notes += ["after Debian's kernels too"] if scenario.stock else []
        print(f"{name:{names}} {scenario.summary}"
              + (f" ({'; '.join(notes)})" if notes else ""))
    print()
    rows = [("IOMMU and mode", "words of the kernel that crashes",
             "of the crash kernel", "")]
    for iommu, modes in variants.MODES.items():
        for mode in modes:
            variant = variants.Variant(iommu, mode)
            rows.append((f"--iommu {iommu} --mode '{mode}'",
                         " ".join(variant.first_words), " ".join(variant.crash_words),
                         "(default)" if variant.is_default else ""))
    print(report.plain_table(rows, left=3))


def one_run(options):
    """Internal: what Session._run_process() starts."""
    folder = pathlib.Path(options.folder)
    variant = variants.Variant(options.iommu, options.mode)
    scenario = named(options.scenario, options.seed)
    scenario.extras = json.loads(options.extras)
    outcome = run.run_once(scenario, options.arm,
                           options.image, options.initrd, variant,
                           options.qemu, options.accel, folder, options.words,
                           options.first)
    run.write_outcome(outcome, folder)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="Without a subcommand: check, with the kernels named by the "
               "environment variables FRAMEWORK and MAINLINE, and the options "
               "in RIG_OPTIONS.")
    commands = parser.add_subparsers(dest="command")

    def add(name, function, text):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(function=function)
        command.add_argument("--framework", metavar="BUILD_DIR",
                             default=os.environ.get("FRAMEWORK"),
                             help="kernel build with the framework")
        command.add_argument("--mainline", metavar="BUILD_DIR",
                             default=os.environ.get("MAINLINE"),
                             help="kernel build without it")
        command.add_argument("--out", metavar="DIR", default="out",
                             help="where results go (default: ./out)")
        command.add_argument("--iommu", choices=list(variants.MODES),
                             help="only this one (run: vtd if not given); without it "
                                  "all of the architecture that the kernels are for")
        command.add_argument("--mode", metavar="MODE[,MODE...]",
                             help="only these, or all; see the list command "
                                  "(default: compare and check all, the others "
                                  "the IOMMU's first)")
        command.add_argument("--runs", type=int, metavar="N",
                             help="runs of each scenario")
        command.add_argument("--jobs", type=int, metavar="N",
                             default=min(3, 1 + (os.cpu_count() or 1)),
                             help="runs at the same time (default: 3, or 2 on one "
                                  "processor: each waits for a part of its time)")
        command.add_argument("--accel", choices=("tcg", "kvm"), default="tcg",
                             help="kvm is used only if a probe boot works")
        command.add_argument("--qemu", help="QEMU to use; 11: one that is "
                             "fetched into DIR/qemu-11, as is done without being "
                             "asked for what no older one can do")
        command.add_argument("--keep", action="store_true",
                             help="keep console, trace and outcome of each run in "
                                  "DIR/runs")
        return command

    def after(command):
        command.add_argument(
            "--first", metavar="KERNEL[,KERNEL...]",
            help=f"the kernel that crashes is one of Debian's, {stock.PREFIX}"
                 f"{stock.CHECKED} for example, fetched into DIR, or all of them: "
                 "scenarios that need a module of the rig's there are left out. With a "
                 "slash in it: the folder of another build, of which none are left out")

    check_command = add("check", check,
                        "pass or fail, with controls on the unmodified kernel")
    debug_command = add("debug-boots", debug_boots, "every scenario and mode on a kernel "
                        "with the options of config.debug")
    # of the few cases of corruption that they have
    for command in (check_command, debug_command):
        command.set_defaults(seed=1)
    for command in (
            add("demo", demo, "a few scenarios beside the unmodified kernel, in minutes: "
                "a table and a picture"),
            add("compare", compare, "all scenarios in all modes, beside the unmodified "
                "kernel"),
            check_command,
            debug_command,
            add("allocations", allocations, "each allocation of the framework fails once, "
                "in a crash of its own: what becomes of the dump"),
            add("dumps", save_dumps, "kexec, makedumpfile and crash, to a disk and "
                "through the network; wants kernels with the options of config.dump"),
            add("debian", installed_debian, "an installed Debian with kdump-tools "
                "crashes, saves its dump, and boots again; wants root"),
            add("small", small_kernels, "small crash kernels, many devices: how much "
                "mapped memory each carries")):
        command.add_argument("--only", metavar="SCENARIO[,SCENARIO...]",
                             help="only these")
        if command.get_default("function") in (demo, compare, check):
            after(command)
        if command.get_default("function") in (demo, compare):
            command.add_argument("--minutes", type=float, metavar="N",
                                 help="begin no crash after that time; the same command "
                                      "goes on with those that are left")
        if command.get_default("function") is demo:
            command.add_argument("--all", action="store_true",
                                 help="all scenarios, not those that show the point")
        if command.prog.endswith("debian"):
            command.add_argument("--package", metavar="DEB",
                                 help="a package of a crash kernel (make deb), to be "
                                      "installed in machines with Debian's own kernel")
            command.add_argument("--suite", metavar="SUITE[,SUITE...]",
                                 default=",".join(debian.SUITES),
                                 help="of these machines (default: %(default)s)")
            command.add_argument("--crashkernel", metavar="SIZE",
                                 help="reserve this much there, not what the package says")
        if command.prog.endswith("dumps"):
            command.add_argument("--short", action="store_true",
                                 help="one dump for each IOMMU, without the controls")
    command = add("corrupt", corrupt_tables, "tables corrupted after the panic: what "
                  "becomes of the dump, the damage, and the devices beside")
    command.add_argument("--only", metavar="CASE[,CASE...]", help="only these cases")
    command.add_argument("--seed", type=int, default=1, metavar="N",
                         help="for entries that are garbage (default: 1)")
    command = add("soak", soak, "crash cycles by chance over all scenarios and modes")
    command.add_argument("--cycles", type=int, default=200, metavar="N",
                         help="how many (default: 200)")
    command.add_argument("--seed", type=int, metavar="N",
                         default=int(time.time()) % 1000000,
                         help="the same seed gives the same cycles (default: by the "
                              "time of day, and printed)")
    command.add_argument("--cycle", type=int, metavar="N",
                         help="only this one, to repeat it")
    command.add_argument("--minutes", type=float, metavar="N",
                         help="begin no cycle after that time; the same seed goes on "
                              "with those that are left")
    command.add_argument("--only", metavar="SCENARIO[,SCENARIO...]",
                         help="only these, and no corrupted tables")
    command = add("run", run_scenario, "one scenario")
    command.add_argument("scenario", choices=list(scenarios.ALL))
    after(command)
    command.add_argument("--arm", "--kernel", choices=scenarios.ARMS,
                         default="framework",
                         help="kernel under test; block is the framework told to "
                              "block (default: framework)")
    commands.add_parser("list", help="what scenarios there are")

    # not shown in the help: one run, in a process of its own
    command = commands.add_parser("one-run")
    for name in ("scenario", "arm", "first", "image", "initrd", "iommu", "mode", "qemu",
                 "accel", "folder", "extras"):
        command.add_argument(name)
    command.add_argument("seed", type=int)
    command.add_argument("words", nargs="*")
    # nor this: between QEMU and the trace file, see trace.thin()
    command = commands.add_parser("thin-trace")
    command.add_argument("path")
    command.add_argument("iommu")

    words = sys.argv[1:]
    if not words:
        words = ["check", *shlex.split(os.environ.get("RIG_OPTIONS", ""))]
    return parser.parse_args(words)


def main():
    options = arguments()
    processes.install_signal_handlers()
    if options.command == "list":
        list_all()
        return 0
    if options.command == "thin-trace":
        return trace.thin(sys.stdin.fileno(), options.path, options.iommu)
    if options.command == "one-run":
        return one_run(options)
    try:
        session = Session(options)
        if options.function in X86_ONLY and session.arch.NAME != "x86":
            raise build.RigError(f"{options.command} is for x86 only")
        return options.function(session)
    except (build.RigError, machine.Broken) as error:
        if isinstance(error, machine.Unavailable) and options.command == "check":
            print(f"SKIP {options.arch.NAME}: {error}\n0 passed, 0 failed, 1 skipped")
            return KSFT_SKIP
        # not 2: to kselftest that would be an expected failure
        print(f"error: {error}", file=sys.stderr)
        return 1
    except processes.Stopped:
        return 130


if __name__ == "__main__":
    sys.exit(main())
