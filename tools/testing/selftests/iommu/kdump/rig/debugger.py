# SPDX-License-Identifier: GPL-2.0
"""QEMU's debugger: machines that stand still at a place of the guest's own code."""

import os
import re
import socket
import threading

from .machine import Broken


class Debugger:
    """As much of gdb's remote protocol as is needed, to QEMU's end of a socket."""

    # numbers of the registers for a result and for the program counter
    REGISTERS = {"x86": (0, 16), "arm": (0, 32), "riscv": (10, 32)}

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

    def wait(self):
        """Until the machine stands still: (where, thread); None when QEMU has gone."""
        stop = self.receive()
        if stop is None or stop.startswith(("W", "X")):
            return None
        thread = re.search(r"thread:([^;]+);", stop)
        if thread:
            self.ask(f"Hg{thread[1]}")
        return self.read(self.counter), thread and thread[1]

    def close(self):
        if self.socket:
            self.socket.close()


class Trap(threading.Thread):
    """Does something once, when a function of the guest is about to begin.

    The machine stands still meanwhile. What goes wrong is raised by end().
    """

    def __init__(self, debugger, address, act):
        super().__init__(daemon=True)
        self.debugger = debugger
        self.address = address
        self.act = act
        self.reached = False
        self.problem = None
        debugger.connect()
        debugger.breakpoint(address, True)
        debugger.send("c")

    def run(self):
        try:
            while (stop := self.debugger.wait()) and stop[0] != self.address:
                self.debugger.send("c")
            if not stop:
                return
            self.reached = True
            try:
                self.act()
            finally:
                self.debugger.breakpoint(self.address, False)
                self.debugger.ask("D")
        # whatever it is, another thread has to hear of it
        except Exception as error:      # pylint: disable=broad-except
            self.problem = error
        finally:
            self.debugger.close()

    def end(self):
        """The guest must have been there: called by who has seen what comes after it."""
        self.join(10)
        if self.problem:
            raise self.problem
        if not self.reached:
            raise Broken(f"the guest has not come by {self.address:#x}: is vmlinux the image's?")
