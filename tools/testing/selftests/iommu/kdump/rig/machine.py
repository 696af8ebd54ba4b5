# SPDX-License-Identifier: GPL-2.0
"""One virtual machine: started, watched line by line, and gone afterwards."""

import functools
import json
import mmap
import os
import re
import select
import socket
import subprocess
import sys
import time

from . import processes

# Of guest memory, where a scenario does not want more.
MEMORY_MIB = 512
# More than that not every QEMU, nor every host, has.
LOW_MIB = 2048

# Ends of QEMU that are QEMU's own fault: the run says nothing about the kernel.
KNOWN_DEFECTS = (
    (re.compile(r"e1000e?[^\n]*Assertion `?!?.*msix_enabled|"
                r"Assertion `!msix_enabled"),
     "QEMU's e1000e asserts !msix_enabled when MSI-X is enabled again"),
)


def available_mib():
    """What this host has left."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) >> 10 for line in lines
                    if line.startswith("MemAvailable:"))


class Lost(Exception):
    """A run that shows nothing: QEMU has a known defect, or the host was too slow."""


class NeedsQemu11(str):
    """A reason not to run something that goes away with a newer QEMU."""


class Broken(Exception):
    """A run that did not get to its end, for any other reason."""


class Unavailable(Broken):
    """Something that has to be fetched, and cannot be had here."""


@functools.cache
def version(qemu):
    status, output = processes.run([qemu, "--version"], 30)
    match = re.search(rb"version ([\d.]+)", output)
    if status != 0 or not match:
        raise Broken(f"{qemu} does not run: install qemu-system-x86, or set QEMU=")
    return match[1].decode()


def major(qemu):
    return int(version(qemu).split(".")[0])


@functools.cache
def properties(qemu, device):
    """Names of the properties that this QEMU's device has."""
    status, output = processes.run([qemu, "-device", f"{device},help"], 30)
    if status != 0:
        raise Broken(f"{qemu} has no device {device}: install qemu-system-x86, "
                     f"or set QEMU=")
    return re.findall(r"^  ([\w-]+)=", output.decode(), re.M)


class Monitor:
    """QEMU's monitor: registers that are in no trace, devices that come and go."""

    def __init__(self):
        self.ours, self.qemus = socket.socketpair()
        self.ours.settimeout(10)
        self._pending = b""
        self._ready = False

    def arguments(self):
        return ["-chardev", f"socket,id=monitor,fd={self.qemus.fileno()}",
                "-mon", "chardev=monitor,mode=control"]

    def read_register(self, address):
        """A register of 64 bits, at a guest physical address."""
        return int(self.print(f"xp /1gx {address:#x}").split(":")[1], 16)

    def print(self, line):
        """What QEMU's monitor for people answers to a line."""
        return self.command("human-monitor-command", **{"command-line": line})

    def command(self, name, **arguments):
        """What QEMU answers; Broken if it refuses."""
        if not self._ready:
            self._ask("qmp_capabilities")
            self._ready = True
        return self._ask(name, **arguments)

    def _ask(self, command, **arguments):
        request = {"execute": command, "arguments": arguments}
        try:
            self.ours.sendall(json.dumps(request).encode() + b"\n")
            while True:
                while b"\n" not in self._pending:
                    data = self.ours.recv(65536)
                    if not data:
                        raise Broken("QEMU's monitor is gone")
                    self._pending += data
                line, self._pending = self._pending.split(b"\n", 1)
                answer = json.loads(line)
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise Broken(f"QEMU's monitor: {answer['error']['desc']}")
        except OSError as error:
            raise Broken(f"QEMU's monitor does not answer: {error}") from None

    def wait_until_gone(self, device, timeout=30):
        """A device leaves QEMU only when the guest has switched its slot off."""
        deadline = time.monotonic() + timeout
        while any(child["name"] == device for child in
                  self.command("qom-list", path="/machine/peripheral")):
            if time.monotonic() >= deadline:
                raise Broken(f"{device} is still plugged in after {timeout} seconds")
            time.sleep(0.1)

    def close(self):
        self.ours.close()
        self.qemus.close()


class Machine:
    def __init__(self, folder, qemu, accel, variant, memory_mib=MEMORY_MIB):
        self.folder = folder
        self.qemu = qemu
        self.accel = accel
        self.variant = variant
        self.arch = variant.arch
        self.console = []               # (time, line)
        self.fds = []
        # A guest physical address is an offset into the file, which has holes where the
        # guest has none. Writable: some scenarios forge tables of the kernel that crashes.
        self.memory_mib = memory_mib
        self.ranges = self.arch.memory_ranges(memory_mib)
        size = self.ranges[-1][1]
        self._memory_fd = os.memfd_create("guest-memory")
        os.ftruncate(self._memory_fd, size)
        self.memory = mmap.mmap(self._memory_fd, size)
        self.trace_path = folder / "trace.log"
        self.monitor = Monitor()
        self._trace_end, self._trace_qemu = os.pipe()

    def command(self, image, initrd, cmdline, devices, traced, reboots=False,
                more_cpu=""):
        """traced: names of events of QEMU's trace."""
        events = self.folder / "trace.events"
        events.write_text("\n".join(traced) + "\n", encoding="ascii")
        return [
            self.qemu, "-nodefaults", "-display", "none",
            *([] if reboots else ["-no-reboot"]),
            "-accel", self.accel, "-cpu", self.arch.cpu(self.accel) + more_cpu,
            "-smp", "2",
            *self._memory_words(self.arch.model(self.variant, self.accel)),
            "-kernel", str(image), *(["-initrd", str(initrd)] if initrd else []),
            "-append", cmdline,
            "-chardev", "stdio,id=console,signal=off",
            "-serial", "chardev:console",
            "-trace", f"events={events}",
            "-D", f"/proc/self/fd/{self._trace_qemu}",
            "-msg", "timestamp=on"] + self.monitor.arguments() + devices

    def _memory_words(self, model):
        """QEMU arguments. One node for each range: they follow one another in RAM."""
        words = ["-m", f"{self.memory_mib}M"]
        back = f"mem-path=/proc/self/fd/{self._memory_fd},share=on"
        if len(self.ranges) == 1:
            start = self.ranges[0][0]
            return ["-machine", f"{model},memory-backend=memory", *words,
                    "-object", f"memory-backend-file,id=memory,size={self.memory_mib}M,"
                    + (f"offset={start}," if start else "") + back]
        for number, (start, end) in enumerate(self.ranges):
            words += ["-object", f"memory-backend-file,id=memory{number},"
                                 f"size={end - start},offset={start},{back}",
                      "-numa", f"node,memdev=memory{number}"]
        return ["-machine", model, *words]

    def run(self, command, on_line, timeout):
        """Boot, call on_line(time, line) for each console line, until the end.

        What on_line returns, if anything, is typed into the console.
        """
        deadline = time.monotonic() + timeout
        errors = self.folder / "qemu.stderr"
        with open(errors, "wb") as stderr, \
             open(self.folder / "console.log", "w", encoding="utf-8") as log:
            thinner = self._start_thinner()
            child = processes.start(command, stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=stderr,
                                    pass_fds=[self._memory_fd, self._trace_qemu,
                                              self.monitor.qemus.fileno()]
                                    + self.fds)
            self._close_trace_pipe()
            try:
                self._watch(child, on_line, log, deadline)
                status = child.wait(max(1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise Broken(f"{self._timeout_text(timeout)}; "
                             f"{self._processors()}") from None
            finally:
                processes.end(child)
                try:
                    thinner.wait(60)    # QEMU's last lines may be on their way
                finally:
                    processes.end(thinner)
        self._judge_end(status, errors)

    def _start_thinner(self):
        """A process, so that a storm of faults cannot hold up the console."""
        self.trace_path.touch()
        rig = os.path.join(os.path.dirname(os.path.dirname(
            os.path.abspath(__file__))), "kdump_rig.py")
        return processes.start([sys.executable, rig, "thin-trace",
                                str(self.trace_path), self.variant.iommu],
                               stdin=self._trace_end)

    def _close_trace_pipe(self):
        for end in (self._trace_end, self._trace_qemu):
            if end is not None:
                os.close(end)
        self._trace_end = self._trace_qemu = None

    def _watch(self, child, on_line, log, deadline):
        pending = b""
        output = child.stdout.fileno()
        while True:
            left = deadline - time.monotonic()
            if processes.stopping.is_set():
                raise processes.Stopped()
            if left <= 0:
                raise subprocess.TimeoutExpired(child.args, 0)
            if not select.select([output], [], [], min(left, 0.5))[0]:
                continue
            data = os.read(output, 65536)
            now = time.time()
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip("\r")
                self.console.append((now, text))
                log.write(f"{now:.6f} {text}\n")
                log.flush()
                answer = on_line(now, text)
                if answer is not None:
                    self._type(child, answer)

    @staticmethod
    def _type(child, answer):
        try:
            child.stdin.write(answer.encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            pass            # a guest that does not wait for it has ended meanwhile

    def _timeout_text(self, timeout):
        last = self.console[-1][1] if self.console else "nothing"
        return f"no end within {timeout} seconds; last line: {last}"

    def _processors(self):
        """Where they are in a machine that has come to no end: System.map tells more."""
        try:
            text = self.monitor.print("info registers -a")
        except Broken as error:
            return str(error)
        (self.folder / "registers").write_text(text, encoding="utf-8")
        return "processors at " + ", ".join(self.arch.processors(text))

    def _judge_end(self, status, errors):
        text = errors.read_text(encoding="utf-8", errors="replace")
        for pattern, name in KNOWN_DEFECTS:
            if pattern.search(text):
                raise Lost(name)
        if status != 0:
            tail = text.strip().splitlines()[-1:] or ["no message"]
            raise Broken(f"QEMU ended with status {status}: {tail[0]}")

    def close(self):
        if self.memory is not None:
            self.memory.close()
            self.memory = None
            os.close(self._memory_fd)
            self._close_trace_pipe()
            self.monitor.close()
