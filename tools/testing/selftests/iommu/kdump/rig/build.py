# SPDX-License-Identifier: GPL-2.0
"""Everything a virtual machine boots: helpers, test modules and initramfs."""

import contextlib
import fcntl
import functools
import gzip
import hashlib
import os
import pathlib
import re
import shutil
import stat
import tempfile

from . import processes

HERE = pathlib.Path(__file__).resolve().parent.parent
HELPERS = ("crash_load", "frame_check", "pcm_stream", "vfio_owner", "vmcore_check",
           "watch_groups")
# Modules of a distribution's configuration that the rig's own has built in.
BUILT_IN = ("ahci", "sd_mod")
BUSYBOX_HINT = "install the package busybox-static, or set BUSYBOX="


class RigError(Exception):
    """Something the user has to put right; the text says what and how."""


def unavailable(words, seconds, what):
    """Run a script that gets something: why it cannot be had, None if it is there.

    words: the script beside kdump_rig.py, and its arguments.
    """
    script, *arguments = map(str, words)
    status, output = processes.run([str(HERE / script), *arguments], seconds)
    if status == 0:
        return None
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"no {what}"


class Kernel:
    """A finished kernel build, and what the rig makes of it."""

    def __init__(self, name, build, out, architecture):
        self.name = name
        self.arch = architecture
        self.build = pathlib.Path(build).resolve()
        self.image = self.build / self.arch.IMAGE
        release = self.build / "include/config/kernel.release"
        for needed in (self.image, release, self.build / "Module.symvers"):
            if not needed.exists():
                raise RigError(
                    f"{self.build} is no finished kernel build ({needed.name} is "
                    f"missing): build {self.arch.TARGETS} there, with the options "
                    f"of {HERE / 'config'}")
        self.release = release.read_text().strip()
        self.digest = hashlib.sha256(self.image.read_bytes()).hexdigest()
        # one folder per build: two builds under one name do not disturb each other
        place = hashlib.sha256(str(self.build).encode()).hexdigest()[:8]
        self.out = pathlib.Path(out).resolve()
        self.work = self.out / "work" / f"{name}-{place}"
        self.initrd = None
        self.crash_initrd = None    # the part of it that a crash kernel gets
        self.helpers = ()
        self.last_function = None   # address of what it calls last when it crashes

    @functools.cached_property
    def checks_itself(self):
        """Whether it looks for its own defects, as those with config.debug do."""
        config = self.build / ".config"
        options = config.read_text(encoding="utf-8") if config.exists() else ""
        return bool(re.search(r"^CONFIG_(KASAN|KCSAN|PROVE_LOCKING)=y$", options, re.M))

    @property
    def vmlinux(self):
        """With debug information, for what reads dumps."""
        path = self.build / "vmlinux"
        status, output = processes.run(["readelf", "-S", "-W", str(path)], 60)
        if status != 0 or b".debug_info" not in output:
            raise RigError(f"{path} has no debug information: build the kernel with "
                           f"the options of {HERE / 'config.dump'} as well")
        return path

    def _address(self, function):
        """Where a function is in the kernel, if vmlinux tells: there is no KASLR."""
        vmlinux = self.build / "vmlinux"
        if not function or not vmlinux.exists():
            return None
        return next((address for name, address, _ in self.functions(vmlinux)
                     if name == function), None)

    def functions(self, path):
        """(name, address, section) of each function in vmlinux or in an object."""
        for line in self.tool("readelf", "-sW", path).splitlines():
            words = line.split()
            if len(words) >= 8 and words[3] == "FUNC":
                yield words[7], int(words[1], 16), words[6]

    def tool(self, name, *words):
        """What a program of binutils for its architecture prints."""
        status, output = processes.run([self.arch.TOOLS + name, *map(str, words)], 300)
        if status != 0:
            raise RigError(f"{self.arch.TOOLS}{name} fails: install the package binutils")
        return output.decode("utf-8", "replace")

    def prepare(self, say, tools=None):
        """Build test modules and the two parts of the initramfs.

        tools: a folder that fetch_tools.sh has filled, if the guest needs what is
        in it.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        with open(self.work / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # runs take minutes; a build that goes on meanwhile must not matter
            copy = self.work / self.image.name
            shutil.copyfile(self.image, copy)
            self.image = copy
            self.last_function = self._address(self.arch.LAST_FUNCTION)
            say(f"{self.name}: helpers and test modules for {self.release}")
            self.helpers = self._helpers()
            modules = self._test_modules()
            say(f"{self.name}: initramfs")
            self._initramfs(modules, tools)

    def _helpers(self):
        folder = self.work / "helpers"
        folder.mkdir(exist_ok=True)
        for name in HELPERS:
            source = HERE / "guest" / f"{name}.c"
            target = folder / name
            if (target.exists() and
                    target.stat().st_mtime > source.stat().st_mtime):
                continue
            must([self.arch.compiler(), "-static", "-Os", "-s", "-Wall",
                   "-o", str(target), str(source)],
                  f"{source.name} cannot be compiled")
        return [folder / name for name in HELPERS] + [self._self_test(folder)]

    def _self_test(self, folder):
        """The guest's side of the kselftest: ../kdump_state.c."""
        source, target = HERE / "kdump_state.c", folder / "kdump_state"
        # as in any kernel tree; the repository of this rig alone has no harness
        trees = (HERE.parent.parent, self.build / "source/tools/testing/selftests",
                 self.build / "tools/testing/selftests")
        tree = next((place for place in trees
                     if (place / "kselftest_harness.h").exists()), None)
        if not tree:
            raise RigError(f"{self.build}/source/tools/testing/selftests has no "
                           f"kselftest_harness.h: keep the source of the kernel")
        if (not target.exists() or
                target.stat().st_mtime <= source.stat().st_mtime):
            copy = folder / "iommu/kdump"
            copy.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
            for header in tree.glob("kselftest*.h"):
                shutil.copy(header, folder)
            must([self.arch.compiler(), "-static", "-Os", "-s", "-Wall",
                   "-Wno-unused-function", "-o", str(target),
                   str(copy / source.name)], f"{source.name} cannot be compiled")
        return target

    def _test_modules(self):
        # kbuild writes beside its sources: give it copies, not the repository
        folder = self.work / "test_modules"
        folder.mkdir(exist_ok=True)
        for source in (HERE / "test_modules").iterdir():
            if source.name != "Makefile" and source.suffix != ".c":
                continue
            copy = folder / source.name
            if not copy.exists() or copy.read_bytes() != source.read_bytes():
                shutil.copyfile(source, copy)
        compiler = f"{self.arch.TOOLS}gcc"
        if shutil.which("ccache"):
            compiler = f"ccache {compiler}"
        must(["make", "-s", "-C", str(self.build), f"M={folder}",
               f"CC={compiler}", *self.arch.MAKE_WORDS, "modules"],
             "the test modules cannot be built",
              env=_plain_environment())
        return sorted(folder.glob("*.ko"))

    def _initramfs(self, modules, tools):
        with scratch_folder(self.work) as scratch:
            root = scratch / "root"
            library = root / "lib/modules" / self.release
            library.mkdir(parents=True)
            add_guest(root, self)
            for module in list(self.build.rglob("*.ko")) + modules:
                must([f"{self.arch.TOOLS}objcopy", "--strip-debug", str(module),
                       str(library / module.name)], "objcopy fails; install the "
                      "package binutils")
            for name in ("modules.builtin", "modules.order"):
                if (self.build / name).exists():
                    shutil.copyfile(self.build / name, library / name)
            must(["/sbin/depmod", "-b", str(root), self.release],
                  "depmod fails; install the package kmod")
            load_at_start(root, [name for name in BUILT_IN
                                 if (library / f"{name}.ko").exists()])
            if tools:
                _add_tools(root, tools / "root")
            crash = archive(root)
            kind = "-tools" if tools else ""
            self.crash_initrd = self.work / f"initrd-crash{kind}"
            write_whole(self.crash_initrd, crash)
            self.initrd = self.work / f"initrd{kind}"
            self.write_initrd(self.initrd, crash)

    def write_initrd(self, path, first):
        """An initramfs for a kernel that crashes into this one.

        first: the part of it that is not for the crash, see archive().
        """
        with scratch_folder(self.work) as scratch:
            boot = scratch / "first/boot"
            boot.mkdir(parents=True)
            shutil.copyfile(self.image, boot / "kernel")
            shutil.copyfile(self.crash_initrd, boot / "initrd")
            write_whole(path, _pad(first) + _cpio(boot.parent))


@contextlib.contextmanager
def scratch_folder(work):
    """For what is made below work, by whoever has the lock there."""
    # what is there is of a rig that was killed
    for left in work.glob("scratch.*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="scratch.", dir=work) as scratch:
        yield pathlib.Path(scratch)


def write_whole(path, data):
    """Write a file so that it is never there in part."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    os.replace(partial, path)


def add_guest(root, kernel):
    """Put in what runs in every guest. kernel: one whose helpers are built."""
    busybox = kernel.arch.busybox(kernel.out)
    if not busybox:
        raise RigError(f"no busybox: {BUSYBOX_HINT}")
    with open(busybox, "rb") as program:
        if b"ld-linux" in program.read(4096):
            raise RigError(f"{busybox} is not static: {BUSYBOX_HINT}")
    (root / "bin").mkdir(parents=True)
    (root / "dev").mkdir()
    shutil.copy(busybox, root / "bin/busybox")
    for helper in kernel.helpers:
        shutil.copy(helper, root / "bin")
    shutil.copy(HERE / "guest/init", root / "init")
    (root / "init").chmod(0o755)
    shutil.copy(HERE / "guest/lib.sh", root)
    shutil.copytree(HERE / "guest/scenarios", root / "scenarios")


def load_at_start(root, modules):
    """What init loads before the scenario's script."""
    (root / "modules").write_text("".join(f"{name}\n" for name in modules))


def archive(root):
    """A folder as an initramfs, the same bytes for the same contents."""
    return gzip.compress(_cpio(root), 1, mtime=0)


# What the guest needs of the distribution's tools.
GUEST_TOOLS = ("kexec", "makedumpfile")


def _add_tools(root, private):
    """Programs of a private Debian root, with the libraries they need."""
    library = private / "usr/lib/x86_64-linux-gnu"
    target = root / "tools"
    target.mkdir()
    loader = "ld-linux-x86-64.so.2"
    shutil.copy(library / loader, target)
    waiting = []
    for name in GUEST_TOOLS:
        program = next(path for path in (private / "usr/sbin" / name,
                                         private / "usr/bin" / name) if path.exists())
        shutil.copy(program, target)
        waiting.append(program)
        starter = root / "bin" / name
        starter.write_text("#!/bin/sh\n"
                           f"exec /tools/{loader} --library-path /tools "
                           f"/tools/{name} \"$@\"\n")
        starter.chmod(0o755)
    while waiting:
        status, output = processes.run(["readelf", "-d", "-W", str(waiting.pop())], 60)
        if status != 0:
            raise RigError("readelf fails; install the package binutils")
        for name in re.findall(r"\(NEEDED\).*\[(.*)\]", output.decode()):
            if not (target / name).exists():
                shutil.copy(library / name, target / name)
                waiting.append(library / name)


def _plain_environment():
    """Without what an outer make exports: kbuild would take it for its own."""
    kept = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL")
    return {name: value for name, value in os.environ.items()
            if name in kept or name.startswith("CCACHE_")}


def must(command, complaint, **options):
    status, output = processes.run(command, 300, **options)
    if status != 0:
        tail = output.decode("utf-8", "replace").strip()[-2000:]
        raise RigError(f"{complaint}:\n{tail}")


def _pad(data):
    """Archives that follow one another start at multiples of four bytes."""
    return data + bytes(-len(data) % 4)


def _cpio(root):
    """A "newc" archive of a folder, the same bytes for the same contents."""
    parts = []

    def add(name, mode, data):
        encoded = name.encode() + b"\0"
        fields = (len(parts) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(encoded), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        parts.append(_pad(header + encoded) + _pad(data))

    for path in sorted(root.rglob("*")):
        mode = path.stat().st_mode
        name = str(path.relative_to(root))
        add(name, mode, b"" if stat.S_ISDIR(mode) else path.read_bytes())
    add("TRAILER!!!", 0, b"")
    return b"".join(parts)
