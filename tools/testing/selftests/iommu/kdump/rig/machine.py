# SPDX-License-Identifier: GPL-2.0
"""One virtual machine: started, watched line by line, and gone afterwards."""

import mmap
import os
import re
import select
import subprocess
import time

from . import processes, trace

# Guest memory is one range from 0 in this size, so that a guest physical address
# is an offset into the file: q35 splits memory only above 2 GiB.
MEMORY_MIB = 512

# Ends of QEMU that are QEMU's own fault: the run says nothing about the kernel.
KNOWN_DEFECTS = (
    (re.compile(r"e1000e?[^\n]*Assertion `?!?.*msix_enabled|"
                r"Assertion `!msix_enabled"),
     "QEMU's e1000e asserts !msix_enabled when MSI-X is enabled again"),
)


class Lost(Exception):
    """A run ended by a known defect of QEMU."""


class Broken(Exception):
    """A run that did not get to its end, for any other reason."""


def version(qemu):
    status, output = processes.run([qemu, "--version"], 30)
    match = re.search(rb"version ([\d.]+)", output)
    if status != 0 or not match:
        raise Broken(f"{qemu} does not run: install qemu-system-x86, or set QEMU=")
    return match[1].decode()


class Machine:
    def __init__(self, folder, qemu, accel, iommu):
        self.folder = folder
        self.qemu = qemu
        self.accel = accel
        self.iommu = iommu
        self.console = []               # (time, line)
        self.fds = []
        self.memory = None
        self._memory_fd = os.memfd_create("guest-memory")
        os.ftruncate(self._memory_fd, MEMORY_MIB << 20)
        self.memory = mmap.mmap(self._memory_fd, MEMORY_MIB << 20,
                                prot=mmap.PROT_READ)
        self.trace_path = folder / "trace.log"

    def command(self, image, initrd, cmdline, devices):
        events = self.folder / "trace.events"
        events.write_text("\n".join(trace.EVENTS[self.iommu]) + "\n",
                          encoding="ascii")
        # some hosts offer that register and then refuse to set it
        cpu = "host,-arch-capabilities" if self.accel == "kvm" else "max"
        split = ",kernel-irqchip=split" if self.accel == "kvm" else ""
        return [
            self.qemu, "-nodefaults", "-display", "none", "-no-reboot",
            "-machine", f"q35,memory-backend=memory{split}",
            "-accel", self.accel, "-cpu", cpu, "-smp", "2",
            "-m", f"{MEMORY_MIB}M",
            "-object", f"memory-backend-file,id=memory,size={MEMORY_MIB}M,"
                       f"mem-path=/proc/self/fd/{self._memory_fd},share=on",
            "-kernel", str(image), "-initrd", str(initrd), "-append", cmdline,
            "-chardev", "stdio,id=console,signal=off",
            "-serial", "chardev:console",
            "-trace", f"events={events}", "-D", str(self.trace_path),
            "-msg", "timestamp=on"] + devices

    def run(self, command, on_line, timeout):
        """Boot, call on_line(time, line) for each console line, until the end.

        What on_line returns, if anything, is typed into the console.
        """
        deadline = time.monotonic() + timeout
        errors = self.folder / "qemu.stderr"
        with open(errors, "wb") as stderr, \
             open(self.folder / "console.log", "w", encoding="utf-8") as log:
            child = processes.start(command, stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=stderr,
                                    pass_fds=[self._memory_fd] + self.fds)
            try:
                self._watch(child, on_line, log, deadline)
                status = child.wait(max(1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise Broken(self._timeout_text(timeout)) from None
            finally:
                processes.end(child)
        self._judge_end(status, errors)

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
                    child.stdin.write(answer.encode() + b"\n")
                    child.stdin.flush()

    def _timeout_text(self, timeout):
        last = self.console[-1][1] if self.console else "nothing"
        return f"no end within {timeout} seconds; last line: {last}"

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
