#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Crash a virtual machine with DMA in flight, and see what the DMA does.

The files beside this one: README (what each figure means), config (options of the
kernels under test), rig/ (host side), guest/ (what runs in the machine).
"""

import argparse
import concurrent.futures
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import sys
import threading
import time

sys.dont_write_bytecode = True          # the source tree stays clean

from rig import build, machine, processes, report, run, scenarios  # noqa: E402

KSFT_SKIP = 4
# A run lost through a known defect of QEMU is repeated this often at most.
MAX_LOST = 5
# Unmodified kernels fail by a race: so many runs to see it.
CONTROL_TRIES = 8
# Under KVM the kernel needs well below a second to its first process.
KVM_PROBE_SECONDS = 10


class Session:
    """What all runs of one invocation have in common."""

    def __init__(self, options):
        self.options = options
        self.out = pathlib.Path(options.out).resolve()
        self.kernels = {}
        self.outcomes = []              # (plan, outcome)
        self.lost = 0
        self.began = time.monotonic()
        self._lock = threading.Lock()
        self.accel = "tcg"

    def say(self, text):
        with self._lock:
            print(f"[{time.monotonic() - self.began:5.0f} s] {text}", flush=True)

    def open_kernel(self, name):
        place = getattr(self.options, name)
        if not place:
            return None
        kernel = build.Kernel(name, place, self.out)
        self.out.mkdir(parents=True, exist_ok=True)
        kernel.prepare(self.say)
        self.kernels[name] = kernel
        return kernel

    def need_kernel(self, name):
        kernel = self.open_kernel(name)
        if not kernel:
            raise build.RigError(
                f"this needs --{name} BUILD_DIR, a kernel build with the options "
                f"of {build.HERE / 'config'}")
        return kernel

    def choose_accel(self):
        """TCG, unless KVM was asked for and boots each of these kernels."""
        if self.options.accel != "kvm":
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
            guest = machine.Machine(folder, self.options.qemu, "kvm", "vtd")
            seen = []

            def on_line(_now, line):
                if "rig[first]: userspace" in line:
                    seen.append(line)
                    raise processes.Stopped()

            try:
                guest.run(guest.command(kernel.image, kernel.initrd,
                                        "console=ttyS0,115200 panic=-1 "
                                        "rig.role=first", []),
                          on_line, KVM_PROBE_SECONDS)
            except (machine.Broken, machine.Lost, processes.Stopped):
                pass
            finally:
                guest.close()
            return bool(seen)

    # -- runs ------------------------------------------------------------------

    def execute(self, plans):
        """Run a list of (scenario name, kernel name); outcomes in this order."""
        if not plans:
            return []
        results = [None] * len(plans)
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            futures = {pool.submit(self._run_plan, *plan): index
                       for index, plan in enumerate(plans)}
            try:
                for done in concurrent.futures.as_completed(futures):
                    results[futures[done]] = done.result()
            except BaseException:
                processes.stopping.set()
                processes.end_all()
                for future in futures:
                    future.cancel()
                raise
        self.outcomes += results
        return results

    def _run_plan(self, scenario, kernel_name):
        for _ in range(MAX_LOST):
            outcome = self._run_process(scenario, kernel_name)
            outcome["scenario"], outcome["kernel"] = scenario, kernel_name
            if "lost" not in outcome:
                result = outcome["result"]
                self._append(result)
                note = result["reason"] or "as it should be"
                self.say(f"{scenario} on {kernel_name}: {result['verdict']} "
                         f"({note})")
                return outcome
            with self._lock:
                self.lost += 1
            self.say(f"{scenario} on {kernel_name}: run lost, {outcome['lost']}; "
                     f"again")
        raise build.RigError(f"{scenario}: {MAX_LOST} runs in a row lost through a "
                             f"defect of QEMU; try another version (QEMU=)")

    def _run_process(self, scenario, kernel_name):
        """A run is a process: it stamps console lines, and must not be held up."""
        kernel = self.kernels[kernel_name]
        options = self.options
        with temporary_folder(self.out, keep=options.keep,
                              name=f"{scenario}-{kernel_name}") as folder:
            command = [sys.executable, os.path.abspath(__file__), "one-run",
                       scenario, kernel_name, str(kernel.image),
                       str(kernel.initrd), options.iommu, options.qemu,
                       self.accel, str(folder)]
            limit = scenarios.ALL[scenario].timeout + 60
            status, output = processes.run(command, limit)
            outcome = folder / "outcome.json"
            if outcome.exists():
                found = json.loads(outcome.read_text())
                found["folder"] = str(folder)
                failed = found.get("result", {}).get("verdict") == "fail"
                expected = kernel_name == "mainline" and "broken" not in found
                if failed and not expected and not options.keep:
                    keep = self.out / "failed" / folder.name
                    keep.parent.mkdir(exist_ok=True)
                    shutil.copytree(folder, keep)
                    self.say(f"console and trace of the failure: {keep}")
                return found
        if processes.stopping.is_set():
            raise processes.Stopped()
        raise RuntimeError(f"run of {scenario} ended with status {status}:\n"
                           + output.decode("utf-8", "replace"))

    def _append(self, result):
        with open(self.out / "results.jsonl", "a", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps(result) + "\n")


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
                return
            self.path.rmdir()

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        if not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)


# -- subcommands ---------------------------------------------------------------

def plans_for(kernels, runs_of):
    """A list for Session.execute(), long scenarios first."""
    return [(name, kernel) for name, scenario in scenarios.ALL.items()
            for kernel in kernels
            if kernel == "framework" or not scenario.framework_only
            for _ in range(runs_of(scenario))]


def demo(session):
    """All scenarios with the framework: one table, one picture."""
    session.need_kernel("framework")
    return show(session, ["framework"], "demo")


def compare(session):
    """The unmodified kernel beside the framework, in the same table."""
    session.need_kernel("mainline")
    session.need_kernel("framework")
    return show(session, ["mainline", "framework"], "compare")


def show(session, kernels, name):
    session.choose_accel()
    runs = session.options.runs
    session.execute(plans_for(kernels, lambda s: runs or s.demo_runs))
    table = report.table(session.outcomes, session.lost)
    print(table)
    (session.out / f"{name}.txt").write_text(table + "\n")
    for picture in report.picture(session.outcomes, kernels, session.out / name):
        session.say(f"picture: {picture}")
    failed = [o for o in session.outcomes if o["kernel"] == "framework" and
              o["result"]["verdict"] != "pass"]
    return 1 if failed else 0


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

    if framework:
        session.execute(plans_for(
            ["framework"], lambda s: session.options.runs or s.check_runs))
    for name in scenarios.ALL:
        if not framework:
            checks.skip(f"{name} on framework", "no --framework build")
            continue
        results = [o["result"] for o in session.outcomes
                   if o["scenario"] == name]
        reasons = [result["reason"] for result in results
                   if result["verdict"] != "pass"]
        checks.report(not reasons, f"{name} on framework, {len(results)} runs",
                      f"{len(reasons)} failed: {reasons[0]}" if reasons else "")
    check_controls(session, checks, mainline)
    if session.lost:
        print(f"# {session.lost} runs lost through defects of QEMU, repeated")
    return checks.end()


def check_controls(session, checks, mainline):
    """The scenarios must go wrong without the framework, or they show nothing."""
    waiting = [name for name, scenario in scenarios.ALL.items()
               if scenario.control_shows]
    if not mainline:
        for name in waiting:
            checks.skip(f"{name}: control on mainline", "no --mainline build")
        return
    for tries in range(1, CONTROL_TRIES + 1):
        for outcome in session.execute([(name, "mainline") for name in waiting]):
            name, result = outcome["scenario"], outcome["result"]
            if any(result[figure]
                   for figure in scenarios.ALL[name].control_shows):
                waiting.remove(name)
                checks.report(True, f"{name}: control on mainline fails as it "
                              f"should, in run {tries}", result["reason"])
    for name in waiting:
        checks.report(False, f"{name}: control on mainline",
                      f"{CONTROL_TRIES} runs and nothing went wrong: the scenario "
                      f"does not show what it is for")


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
    scenario = scenarios.ALL[options.scenario]
    if scenario.framework_only and options.kernel != "framework":
        raise build.RigError(f"{scenario.name} needs --kernel framework: it tests "
                             f"what the unmodified kernel does not have")
    session.need_kernel(options.kernel)
    session.choose_accel()
    session.execute([(scenario.name, options.kernel)] * (options.runs or 1))
    print(report.table(session.outcomes, session.lost))
    if options.keep:
        for outcome in session.outcomes:
            print(outcome["folder"])
    return int(any(o["result"]["verdict"] != "pass" for o in session.outcomes))


def one_run(options):
    """Internal: what Session._run_process() starts."""
    folder = pathlib.Path(options.folder)
    outcome = run.run_once(scenarios.ALL[options.scenario](), options.kernel,
                           options.image, options.initrd, options.iommu,
                           options.qemu, options.accel, folder)
    run.write_outcome(outcome, folder)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="Without a subcommand: check, with the kernels named by the "
               "environment variables FRAMEWORK and MAINLINE.")
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
        command.add_argument("--iommu", choices=list(scenarios.IOMMUS),
                             default="vtd")
        command.add_argument("--runs", type=int, metavar="N",
                             help="runs of each scenario")
        command.add_argument("--jobs", type=int, metavar="N",
                             default=max(1, min(2, (os.cpu_count() or 1))),
                             help="runs at the same time (default: 2)")
        command.add_argument("--accel", choices=("tcg", "kvm"), default="tcg",
                             help="kvm is used only if a probe boot works")
        command.add_argument("--qemu", default=os.environ.get(
            "QEMU", "qemu-system-x86_64"), help="QEMU to use")
        command.add_argument("--keep", action="store_true",
                             help="keep console, trace and outcome of each run in "
                                  "DIR/runs")
        return command

    add("demo", demo, "all scenarios with the framework: a table and a picture")
    add("compare", compare, "the same, beside the unmodified kernel")
    add("check", check, "pass or fail, with controls on the unmodified kernel")
    command = add("run", run_scenario, "one scenario")
    command.add_argument("scenario", choices=list(scenarios.ALL))
    command.add_argument("--kernel", choices=("framework", "mainline"),
                         default="framework")
    commands.add_parser("list", help="what scenarios there are")

    # not shown in the help: one run, in a process of its own
    command = commands.add_parser("one-run")
    for name in ("scenario", "kernel", "image", "initrd", "iommu", "qemu",
                 "accel", "folder"):
        command.add_argument(name)

    words = sys.argv[1:]
    return parser.parse_args(words or ["check"])


def main():
    options = arguments()
    processes.install_signal_handlers()
    if options.command == "list":
        for name, scenario in scenarios.ALL.items():
            only = " (framework only)" if scenario.framework_only else ""
            print(f"{name:12} {scenario.summary}{only}")
        return 0
    if options.command == "one-run":
        return one_run(options)
    try:
        return options.function(Session(options))
    except (build.RigError, machine.Broken) as error:
        # not 2: to kselftest that would be an expected failure
        print(f"error: {error}", file=sys.stderr)
        return 1
    except processes.Stopped:
        return 130


if __name__ == "__main__":
    sys.exit(main())
