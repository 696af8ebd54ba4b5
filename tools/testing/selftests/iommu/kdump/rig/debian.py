# SPDX-License-Identifier: GPL-2.0
"""An installed Debian that crashes, saves its dump by itself, and boots again.

Nothing here loads the crash kernel, saves the dump or reboots: kdump-tools of Debian
does, as it is configured when it is installed. The guest's half is guest/debian.

Either the kernel is ours, as production and as crash kernel; or it is Debian's, and a
package that is installed in the machine has the crash kernel.
"""

import os
import pathlib
import re
import shutil

from . import build, processes
from .dumps import SOUND, TARGET, Dump, Unreadable, tool
from .scenarios import sound


class DumpDebian(Dump):
    name = "dump-debian"
    summary = "Debian with kdump-tools: the dump is in /var/crash after the reboot"
    devices = {SOUND: "hda", TARGET: "virtio"}
    driver_built_in = True
    formats = ("F31",)          # kdump-tools' choice: -F -c -d 31
    load = "-p"                 # its choice as well
    timeout = 1500
    reboots = True
    checks_vmcore_itself = True
    DISK = "/dev/vda"
    root = DISK                 # no initramfs: the drivers are built in
    SAVED = re.compile(r"saved vmcore in (/var/crash/\S+)")

    @property
    def first_options(self):
        return (f"root={self.DISK}", "rw", "rootfstype=ext4")

    def qemu_devices(self, wires, folder):
        processes.run(["cp", "--sparse=always", self.extras["image"],
                       str(folder / "disk")], 120)
        return ["-audiodev", "none,id=silence", *sound(0, "addr=5"),
                "-drive", f"if=none,id=disk,format=raw,file={folder / 'disk'}",
                "-device", "virtio-blk-pci,drive=disk,addr=4,disable-legacy=on,"
                           "iommu_platform=on"]

    def on_console(self, now, line, run):
        # the dump is complete; what follows is an orderly reboot, and then a kernel that
        # may use all of the memory
        if run.boots == 2 and self.SAVED.search(line) and "end" not in run.times:
            run.times["end"] = now
            run.look_for_changes()

    def take(self, kind, folder, run):
        """The file that the machine found after its reboot, from the disk."""
        names = [match[1] for _when, line in run.machine.console for match in
                 [re.search(r"rig\[again\]: found (/var/crash/\S+/dump\.\d+) \d+", line)]
                 if match]
        if not names:
            raise Unreadable("the machine found no dump after its reboot")
        flat, path = folder / "flat", folder / "vmcore"
        processes.run([tool("debugfs"), "-R", f"dump {names[0]} {flat}",
                       str(folder / "disk")], 120)
        try:
            with open(flat, "rb") as stream:
                status, output = processes.run(
                    [self.extras["tools"] + "/makedumpfile", "-R", str(path)], 120,
                    stdin=stream)
        except FileNotFoundError:
            raise Unreadable("the dump is not in the file system") from None
        flat.unlink()
        if status != 0 or not path.exists():
            raise Unreadable("makedumpfile -R: "
                             + output.decode("utf-8", "replace").strip()[-200:])
        return path

    def judge(self, run):
        if run.boots != 3:
            return [f"the machine has booted {run.boots} times, and not 3 times"]
        run.saved["F31"] = round(run.times["end"] - run.times["userspace"], 1)
        return super().judge(run)

    def clean(self, folder):
        (folder / "disk").unlink(missing_ok=True)


class DumpPackage(DumpDebian):
    name = "dump-package"
    summary = "Debian with its own kernel and our package: saved, rebooted, removed"
    # the crash kernel of the package has no driver for sound
    devices = {SOUND: None, TARGET: "virtio"}
    root = None                 # Debian's initramfs finds it
    memory_mib = 2048           # wherever KASLR puts the kernel
    timeout = 2400

    @property
    def crashkernel(self):
        return self.extras["crashkernel"]

    def judge(self, run):
        reasons = super().judge(run)
        for found in self.findings:
            found["memory"] = run.memory.get("crash")
            found["crashkernel"] = self.crashkernel
        if not run.framework:
            return reasons
        said = "\n".join(line for _when, line in run.machine.console if "rig[" in line)
        reasons += re.findall(r"rig\[again\]: error: (.*)", said)
        for word in ("installed", "removed"):
            if f": {word}" not in said:
                reasons.append(f"the package has not been {word}")
        return reasons


ALL = {cls.name: cls for cls in (DumpDebian, DumpPackage)}
SUITES = ("bookworm", "trixie")
# What kdump-tools of Debian reserves, for the control.
STOCK_CRASHKERNEL = "192M"


class Installed:
    """A machine with Debian's own kernel, as the one that crashes (see stock.Kernel)."""

    def __init__(self, suite, image):
        self.image = pathlib.Path(f"{image}.vmlinuz")
        self.release = pathlib.Path(f"{image}.release").read_text().strip()
        self.name = f"stock-{suite}-" + ".".join(self.release.split(".")[:2])
        self.initrds = {"framework": pathlib.Path(f"{image}.initrd")}


def crashkernel_of(package):
    """What the package reserves."""
    status, output = processes.run(
        ["sh", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar -xO ./usr/lib/linux-kdump/grub.cfg',
         str(package)], 120)
    match = re.search(rb'crashkernel=(\S+?)"', output)
    if status != 0 or not match:
        raise build.RigError(f"{package} is no package of a crash kernel: make deb")
    return match[1].decode()


def fetch_vmlinux(out, release):
    """Debug information of Debian's kernel: (path, None), or (None, why not)."""
    why = build.unavailable(("fetch_vmlinux.sh", out, release), 1800,
                            "debug information")
    return (None, why) if why else (out / f"vmlinux-{release}" / "vmlinux", None)


def make_image(kernel, out, say, suite="trixie", own=True, package=None):
    """A disk with Debian and this kernel; (path, None), or (None, why not).

    own: if not, the kernel is Debian's. package: of a crash kernel, to be installed there.
    """
    programs = kernel.work / "programs"
    shutil.rmtree(programs, ignore_errors=True)
    (programs / "bin").mkdir(parents=True)
    busybox = os.environ.get("BUSYBOX") or shutil.which("busybox")
    shutil.copy(busybox, programs / "bin/busybox")
    for helper in (*build.HELPERS, "kdump_state"):
        shutil.copy(kernel.work / "helpers" / helper, programs / "bin")
    if package:
        shutil.copy(package, programs)
    kind = "own" if own else "package" if package else "stock"
    image = kernel.work / f"debian-{suite}-{kind}.img"
    say(f"a disk with Debian {suite} and kdump-tools (minutes, the first time)")
    why = build.unavailable(("debian_image.sh", out, suite, programs, image,
                             *([kernel.build] if own else [])), 1800, "Debian disk")
    return (None, why) if why else (image, None)
