# SPDX-License-Identifier: GPL-2.0
"""Other kernels in the place of the one that crashes: Debian's, or another build.

The framework has to be in the crash kernel only. Debian's, as they are, have none of it.
Another build is for what two builds can differ in, as the size of a page.
"""

import fcntl
import lzma
import pathlib
import re
import shutil

from . import build

# By version: the ones that Debian's suites have had since the framework's base.
VERSIONS = ("6.1", "6.12", "7.2", "7.3")
CHECKED = "6.12"                # the one that check takes
PREFIX = "stock-"

# What the scenarios load, with all that it needs.
MODULES = ("snd-hda-codec-generic", "snd-hda-intel", "e1000", "e1000e")


def versions(words):
    """The versions that an option --first asks for."""
    if words == "all":
        return list(VERSIONS)
    found = [word.removeprefix(PREFIX) for word in words.split(",")]
    for version in found:
        if not re.fullmatch(r"[0-9]+[.][0-9]+", version):
            raise build.RigError(f"{PREFIX}{version} is no kernel of Debian: say "
                                 f"{PREFIX}{CHECKED}, or all for "
                                 + ", ".join(PREFIX + known for known in VERSIONS))
    return found


class Build:
    """Another build of a kernel of the rig's."""

    has_rig_modules = True

    def __init__(self, place, out, architecture):
        # a link tells more than what it leads to
        self.name = pathlib.Path(place).name
        self.kernel = build.Kernel(self.name, place, out, architecture)
        self.image = self.kernel.image
        self.initrds = {}           # by the name of the crash kernel

    def fetch(self, say):
        """It is there, and what it boots is made here."""
        self.kernel.prepare(say)
        self.image = self.kernel.image

    def prepare(self, crash_kernel):
        """Make the initramfs with which it crashes into another kernel of the rig."""
        path = self.kernel.work / f"initrd-{crash_kernel.work.name}"
        crash_kernel.write_initrd(path, self.kernel.crash_initrd.read_bytes())
        self.initrds[crash_kernel.name] = path


class Kernel:
    """One of Debian's, and what the rig makes of it."""

    has_rig_modules = False

    def __init__(self, version, out):
        self.name = PREFIX + version
        self.version = version
        self.out = pathlib.Path(out).resolve()
        self.folder = self.out / self.name
        self.image = self.folder / "vmlinuz"
        self.initrds = {}           # by the name of the crash kernel

    def fetch(self, say):
        """Why it cannot be had; None if it is there."""
        self.out.mkdir(parents=True, exist_ok=True)
        if not self.image.exists():
            say(f"fetching Debian's Linux {self.version} into a private folder")
        return build.unavailable(("fetch_kernel.sh", self.out, self.version), 900,
                                 f"Linux {self.version}")

    def prepare(self, crash_kernel):
        """Make the initramfs with which it crashes into a kernel of the rig."""
        work = self.out / "work" / self.name
        work.mkdir(parents=True, exist_ok=True)
        with open(work / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with build.scratch_folder(work) as scratch:
                root = scratch / "root"
                build.add_guest(root, crash_kernel)
                self._add_modules(root)
                first = build.archive(root)
            path = work / f"initrd-{crash_kernel.work.name}"
            crash_kernel.write_initrd(path, first)
        self.initrds[crash_kernel.name] = path

    def _add_modules(self, root):
        release = (self.folder / "release").read_text().strip()
        source = self.folder / "root/lib/modules" / release
        target = root / "lib/modules" / release
        needs = dict(line.split(":", 1) for line in
                     (source / "modules.dep").read_text().splitlines())
        places = {_name(place): place for place in needs}
        for wanted in MODULES + build.BUILT_IN:
            place = places.get(wanted.replace("-", "_"))
            if not place:
                continue            # built in
            for needed in (place, *needs[place].split()):
                _unpack(source / needed, target / needed)
        for name in ("modules.builtin", "modules.order"):
            shutil.copyfile(source / name, target / name)
        build.must(["/sbin/depmod", "-b", str(root), release],
                   "depmod fails; install the package kmod")
        build.load_at_start(root, build.BUILT_IN)


def _name(place):
    return place.rsplit("/", 1)[-1].split(".", 1)[0].replace("-", "_")


def _unpack(source, target):
    """busybox reads no compressed modules."""
    if source.suffix == ".xz":
        target = target.with_suffix("")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        opener = lzma.open if source.suffix == ".xz" else open
        with opener(source, "rb") as packed, open(target, "wb") as module:
            shutil.copyfileobj(packed, module)
