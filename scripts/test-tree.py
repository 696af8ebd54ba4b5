#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Test make tree, pull, apply and unapply on a kernel tree of six files.

Prints TAP. Every test gets a repository and a kernel tree of its own, in a
temporary directory. Names of tests may be given to run only these.
"""

import concurrent.futures
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent

CORE = "drivers/iommu/iommu.c"
INTEL = "drivers/iommu/intel.c"
KCONFIG = "drivers/iommu/Kconfig"
NEW = "drivers/iommu/kdump/core.c"
TOOL = "tools/testing/selftests/iommu/run.sh"


def lines(tag, count=40):
    return "".join(f"{tag} line {n}\n" for n in range(1, count + 1))


class World:
    """A repository with three patches and two new files, and a kernel tree."""

    def __init__(self, root):
        self.root = Path(root)
        self.repo = self.root / "repo"
        self.kernel = self.root / "kernel"
        self.out = self.repo / "out"
        self.tree = self.out / "linux"
        self.output = ""
        self.put(self.kernel, {
            "Makefile": "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\n",
            ".gitignore": ".*\n*.o\n!.gitignore\n/*\n!/debian/\n", "tools/.gitignore": "/guest\n",
            CORE: lines("core"), INTEL: lines("intel"), KCONFIG: lines("kconfig"),
            "scripts/checkpatch.pl": "#!/bin/sh\n", "tools/testing/README": "x\n",
        })
        (self.kernel / "scripts/checkpatch.pl").chmod(0o755)
        self.put(self.repo, {NEW: "int core;\n", TOOL: "#!/bin/sh\n", "README.md": "read me\n"})
        (self.repo / TOOL).chmod(0o755)
        for name in ("Makefile", ".gitignore"):
            shutil.copy(REPO / name, self.repo)
        shutil.copytree(REPO / "scripts", self.repo / "scripts")
        self.patch("core.patch", {CORE: ("core line 10\n", "core line ten\n")})
        self.patch("driver.patch", {INTEL: ("intel line 5\n", "intel line five\n"),
                                    KCONFIG: ("kconfig line 5\n", "kconfig line five\n")})
        self.patch("hook.patch", {KCONFIG: ("kconfig line 30\n", "kconfig line thirty\n")})

    @staticmethod
    def put(root, files):
        for path, text in files.items():
            full = Path(root, path)
            full.parent.mkdir(parents=True, exist_ok=True)
            full.write_text(text)

    def patch(self, name, changes):
        """Add a patch to the series; each file's first text becomes the second."""
        import difflib  # pylint: disable=import-outside-toplevel
        text = f"iommu: Change for {name}\n\nBecause of the test.\n\nSigned-off-by: A <a@b>\n---\n"
        for path in sorted(changes):
            old = (self.kernel / path).read_text()
            for line in difflib.unified_diff(old.splitlines(True), old.replace(*changes[path]).splitlines(True),
                                             f"a/{path}", f"b/{path}"):
                text += line
        self.put(self.repo / "patches", {name: text})
        with open(self.repo / "patches/series", "a", encoding="utf-8") as series:
            series.write(f"{name}\n")

    def start(self, *args, **env):
        """Run make, without anything of the make that runs this test."""
        environment = {k: v for k, v in os.environ.items()
                       if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "KDUMP_LOCKED", "OUT", "CACHE",
                                    "LINUX", "LINUX_TARBALL", "FORCE", "PATCH", "FILES", "NEED_MIB")}
        return subprocess.Popen(["make", "--no-print-directory", "-C", str(self.repo), *args],
                                env=environment | env, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def make(self, *args, **env):
        with self.start(*args, **env) as process:
            self.output = process.communicate()[0]
        return process.returncode == 0

    def good(self, *args, **env):
        assert self.make(*args, **env), f"make {' '.join(args)} failed:\n{self.output}"

    def refused(self, why, *args, **env):
        """make fails, says @why in its first error line, and changes nothing."""
        before = self.snapshot(self.repo), self.snapshot(self.kernel)
        assert not self.make(*args, **env), f"make {' '.join(args)} did not fail:\n{self.output}"
        errors = [line for line in self.output.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and why in errors[0], f"'{why}' expected:\n{self.output}"
        assert "Traceback" not in self.output, self.output
        assert (self.snapshot(self.repo), self.snapshot(self.kernel)) == before, "something was changed"

    @staticmethod
    def snapshot(root):
        found = {}
        for directory, subdirs, names in os.walk(root):
            subdirs[:] = [d for d in subdirs if d != ".git"]
            for name in names:
                full = Path(directory, name)
                path = str(full.relative_to(root))
                if path not in ("out/.lock", "out/fetch.log"):
                    found[path] = (os.readlink(full) if full.is_symlink() else full.read_bytes(),
                                   full.lstat().st_mode)
        return found

    def edit(self, path, old, new, root=None):
        full = Path(root or self.tree, path)
        text = full.read_text()
        assert old in text, f"{path} has no {old!r}"
        full.write_text(text.replace(old, new))

    def git(self, root, *args):
        subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b", *args], cwd=root,
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def commit(self, root):
        self.git(root, "init", "-q")
        self.git(root, "add", "-A", "-f")
        self.git(root, "commit", "-q", "-m", "x")

    def ready(self):
        self.good("tree", f"LINUX={self.kernel}")

    def round_trip(self):
        """The repository alone makes the tree that is there now."""
        edited = self.snapshot(self.tree)
        shutil.rmtree(self.out)
        self.ready()
        again = self.snapshot(self.tree)
        assert edited == again, \
            f"the round trip lost {[p for p in edited.keys() | again if edited.get(p) != again.get(p)]}"


def test_tree_lays_everything_in(w):
    w.ready()
    assert "ten\n" in (w.tree / CORE).read_text()
    assert (w.tree / NEW).read_text() == "int core;\n"
    assert os.access(w.tree / TOOL, os.X_OK) and os.access(w.tree / "scripts/checkpatch.pl", os.X_OK)
    assert not (w.tree / "README.md").exists() and not (w.tree / "scripts/tree.py").exists()
    assert w.snapshot(w.kernel) == w.snapshot(w.out / "base")


def test_tree_twice_touches_nothing(w):
    w.ready()
    before = {p: p.stat().st_mtime_ns for p in w.tree.rglob("*")}
    w.good("tree")
    w.good("tree", f"LINUX={w.kernel}")
    assert before == {p: p.stat().st_mtime_ns for p in w.tree.rglob("*")}


def test_tree_rewrites_only_what_changed(w):
    w.ready()
    before = {p: p.stat().st_mtime_ns for p in w.tree.rglob("*") if p.is_file()}
    w.edit(NEW, "core", "kernel", w.repo)
    w.edit("patches/driver.patch", "+intel line five", "+intel line FIVE", w.repo)
    w.good("tree")
    changed = {str(p.relative_to(w.tree)) for p, t in before.items() if p.stat().st_mtime_ns != t}
    assert changed == {NEW, INTEL}, changed


def test_tree_takes_out_what_is_gone(w):
    w.ready()
    (w.repo / NEW).unlink()
    w.put(w.repo / "patches", {"series": "driver.patch\nhook.patch\n"})
    w.good("tree")
    assert not (w.tree / NEW).parent.exists()
    assert (w.tree / CORE).read_text() == lines("core")


def test_tree_keeps_edits(w):
    w.ready()
    w.edit(CORE, "core line 20\n", "mine\n")
    w.put(w.tree, {"drivers/iommu/kdump/more.c": "x\n"})
    (w.tree / INTEL).unlink()
    w.refused("edits that are not in the repository", "tree")
    for line in (f"edited: {CORE}", "new: drivers/iommu/kdump/more.c", f"deleted: {INTEL}"):
        assert line in w.output, w.output
    w.good("status")
    assert "3 edits" in w.output
    w.good("tree", "FORCE=1")
    assert "mine" not in (w.tree / CORE).read_text() and (w.tree / INTEL).exists()
    assert not (w.tree / "drivers/iommu/kdump/more.c").exists()


def test_tree_ignores_build_products(w):
    w.ready()
    w.put(w.tree, {"drivers/iommu/iommu.o": "x", ".build/.config": "x", "tools/guest": "x"})
    w.good("tree")
    w.good("pull")
    assert "nothing to pull" in w.output


def test_tree_refuses_another_version(w):
    w.edit("Makefile", "PATCHLEVEL = 3", "PATCHLEVEL = 2", w.kernel)
    w.refused("is Linux 7.2.4, the series is made for 7.3.y", "tree", f"LINUX={w.kernel}")


def test_tree_refuses_what_is_no_kernel(w):
    w.refused("not a Linux source tree", "tree", f"LINUX={w.repo}")
    w.refused("does not exist", "tree", f"LINUX={w.root}/nowhere")


def test_tree_refuses_a_dirty_git_tree(w):
    w.commit(w.kernel)
    w.edit(CORE, "core line 1\n", "mine\n", w.kernel)
    w.refused("not committed", "tree", f"LINUX={w.kernel}")
    w.git(w.kernel, "checkout", "-q", "--", ".")
    w.ready()


def test_tree_refuses_a_built_tree(w):
    w.put(w.kernel, {".config": ""})
    w.refused("mrproper", "tree", f"LINUX={w.kernel}")


def test_tree_refuses_a_full_disk(w):
    w.refused("MiB free", "tree", f"LINUX={w.kernel}", NEED_MIB="999999999")


def test_tree_survives_a_full_disk(w):
    w.out.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(w.out)],
                           stderr=subprocess.DEVNULL, check=False)
    if mount.returncode:
        return "needs to mount a file system"
    try:
        big = w.kernel / "drivers/big.c"
        big.write_bytes(b"x" * 600_000)
        assert not w.make("tree", f"LINUX={w.kernel}", NEED_MIB="0")
        assert "error: " in w.output and "Traceback" not in w.output, w.output
        assert not w.tree.exists()
        big.unlink()
        w.good("tree", f"LINUX={w.kernel}", NEED_MIB="0")
        # Half way in laying the files in, too.
        w.put(w.repo, {"drivers/iommu/kdump/big.c": "x" * 3_000_000})
        assert not w.make("tree") and "No space left" in w.output, w.output
        (w.repo / "drivers/iommu/kdump/big.c").unlink()
        w.good("tree")
        w.good("status")
        assert "0 edits" in w.output, w.output
    finally:
        subprocess.run(["umount", "-l", str(w.out)], check=True)
    return None


def test_tree_from_an_archive(w):
    archive = w.root / "linux-7.3.4.tar.xz"
    subprocess.run(["tar", "-cJf", archive, "-C", w.root, "kernel"], check=True)
    w.good("tree", f"LINUX_TARBALL={archive}")
    assert (w.tree / NEW).exists()
    half = w.root / "half.tar.xz"
    half.write_bytes(archive.read_bytes()[:300])
    w.refused("does not unpack", "tree", f"LINUX_TARBALL={half}")
    w.refused("cannot read", "tree", f"LINUX_TARBALL={w.root}/none.tar")
    w.refused("give one", "tree", f"LINUX_TARBALL={archive}", f"LINUX={w.kernel}")


def package(w, name="linux-source-7.3_7.3.4-1_all.deb"):
    """A Debian package that holds the kernel tree as the real one does."""
    root = w.root / "package"
    w.put(root, {"DEBIAN/control": "Package: linux-source-7.3\nVersion: 7.3.4-1\nArchitecture: all\n"
                                   "Maintainer: A <a@b>\nDescription: x\n"})
    (root / "usr/src").mkdir(parents=True)
    subprocess.run(["tar", "-cJf", root / "usr/src/linux-source-7.3.tar.xz", "-C", w.root, "kernel"], check=True)
    subprocess.run(["dpkg-deb", "-b", root, w.root / name], check=True, stdout=subprocess.DEVNULL)
    return w.root / name


def fake_apt(w, deb=None):
    """A PATH where apt-get knows a mirror with @deb, or has no network."""
    script = "#!/bin/sh\ncase \"$*\" in\n" \
        "*'--print-uris update'*) echo \"'http://mirror.invalid/debian/dists/x/InRelease' x 0\" ;;\n"
    if deb:
        script += f"*'--print-uris'*|*update*) ;;\n*' download '*) cp {deb} . ;;\n"
    script += "*) echo 'E: Could not resolve mirror.invalid' >&2; exit 100 ;;\nesac\n"
    w.put(w.root / "bin", {"apt-get": script})
    (w.root / "bin/apt-get").chmod(0o755)
    return f"{w.root}/bin:{os.environ['PATH']}"


def test_tree_from_the_package(w):
    if not shutil.which("dpkg-deb"):
        return "needs dpkg-deb"
    w.good("tree", PATH=fake_apt(w, package(w)))
    assert (w.tree / NEW).exists()
    cached = list((w.out / "cache").iterdir())
    assert [c.name for c in cached] == ["linux-source-7.3_7.3.4-1_all.deb"], cached
    # A broken one in the cache is not taken for whole, a whole one needs no network.
    shutil.rmtree(w.out / "state")
    cached[0].write_bytes(cached[0].read_bytes()[:700])
    w.good("tree", PATH=fake_apt(w, w.root / cached[0].name))
    assert "broken" in w.output, w.output
    shutil.rmtree(w.out / "state")
    w.good("tree", PATH=fake_apt(w))
    return None


def test_tree_without_a_network(w):
    w.refused("check the network", "tree", PATH=fake_apt(w))
    assert "Could not resolve" in w.output


def test_tree_with_a_broken_download(w):
    if not shutil.which("dpkg-deb"):
        return "needs dpkg-deb"
    deb = package(w)
    deb.write_bytes(deb.read_bytes()[:700])
    w.refused("cannot fetch", "tree", PATH=fake_apt(w, deb))
    assert not list((w.out / "cache").iterdir())
    return None


def test_tree_interrupted(w):
    """Ended at any moment, the next run makes the same tree."""
    w.ready()
    goal = w.snapshot(w.tree)
    for delay in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3):
        for number in (signal.SIGTERM, signal.SIGKILL):
            shutil.rmtree(w.out)
            with w.start("tree", f"LINUX={w.kernel}") as process:
                time.sleep(delay)
                os.killpg(process.pid, number)
            w.ready()
            assert w.snapshot(w.tree) == goal
            assert not (w.out / "tmp").exists()


def test_tree_interrupted_while_laying_in(w):
    w.ready()
    # What a run leaves that was ended between two files, and a repository that went on.
    laid = (w.out / "state/laid.json").read_text()
    w.put(w.out / "state", {"laying.json": laid.replace("int core;", "int next;")})
    w.put(w.tree, {NEW: "int next;\n"})
    w.edit(NEW, "int core", "int third", w.repo)
    w.good("tree")
    assert (w.tree / NEW).read_text() == "int third;\n"
    w.good("tree")


def test_tree_without_its_state(w):
    w.ready()
    (w.out / "state/laid.json").unlink()
    w.refused("move out/linux away", "tree")


def test_tree_side_by_side(w):
    w.ready()
    goal = w.snapshot(w.tree)
    shutil.rmtree(w.out)
    running = [w.start("tree", f"LINUX={w.kernel}") for _ in range(3)]
    outputs = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], outputs
    assert w.snapshot(w.tree) == goal


def test_tree_says_which_hunk_does_not_fit(w):
    w.edit(INTEL, "intel line 5\n", "something else\n", w.kernel)
    before = w.snapshot(w.repo / "patches")
    assert not w.make("tree", f"LINUX={w.kernel}")
    assert f"driver.patch: {INTEL}: hunk 1 (line 2)" in w.output, w.output
    assert before == w.snapshot(w.repo / "patches")


def test_tree_refuses_a_taken_name(w):
    w.put(w.kernel, {NEW: "theirs\n"})
    assert not w.make("tree", f"LINUX={w.kernel}")
    assert f"{NEW}: Linux 7.3.4 has a file of this name" in w.output, w.output


def test_other_base_keeps_edits(w):
    w.ready()
    w.edit(CORE, "core line 20\n", "mine\n")
    w.edit(INTEL, "intel line 40\n", "next release\n", w.kernel)
    w.refused("edits that are not in the repository", "tree", f"LINUX={w.kernel}")
    w.good("pull")
    w.ready()
    assert "mine" in (w.tree / CORE).read_text() and "next release" in (w.tree / INTEL).read_text()


def test_setup_with_a_package_missing(w):
    with open(w.repo / "scripts/packages", "a", encoding="utf-8") as packages:
        packages.write("base\tno-such-package\t\t/no/such/file\n")
    path = fake_apt(w)
    w.put(w.root / "bin", {"id": "#!/bin/sh\necho 1000\n"})
    (w.root / "bin/id").chmod(0o755)
    w.refused("run as root: apt-get install no-such-package", "setup", PATH=path)
    w.put(w.root / "bin", {"id": "#!/bin/sh\necho 0\n"})
    assert not w.make("setup", PATH=path)
    assert "error: apt-get could not install no-such-package: E: Could not resolve" in w.output, w.output


def test_base_stays_unmodified(w):
    w.ready()
    w.edit(CORE, "core line 20\n", "mine\n", w.out / "base")
    w.refused("rm out/state/base.id", "tree")
    (w.out / "state/base.id").unlink()
    w.edit(NEW, "core", "edited")
    w.refused("edits that are not in the repository", "tree", f"LINUX={w.kernel}")
    w.good("tree", f"LINUX={w.kernel}", "FORCE=1")
    assert "mine" not in (w.out / "base" / CORE).read_text()


def test_pull_new_edited_deleted(w):
    w.ready()
    w.put(w.tree, {NEW: "int edited;\n", "drivers/iommu/kdump/more.c": "int more;\n",
                   "include/new.h": "unused\n", "drivers/elsewhere/a.c": "int a;\n"})
    shutil.rmtree(w.tree / "include")
    (w.tree / TOOL).unlink()
    (w.tree / "drivers/iommu/run.sh").write_text("#!/bin/sh\n")
    (w.tree / "drivers/iommu/run.sh").chmod(0o755)
    w.good("pull")
    assert (w.repo / NEW).read_text() == "int edited;\n"
    assert (w.repo / "drivers/elsewhere/a.c").exists() and not (w.repo / TOOL).exists()
    assert os.access(w.repo / "drivers/iommu/run.sh", os.X_OK)
    w.good("status")
    assert "0 edits" in w.output
    w.round_trip()


def test_pull_into_the_only_patch(w):
    w.ready()
    w.edit(CORE, "core line 20\n", "core line twenty\n")
    w.edit(INTEL, "intel line five\n", "intel line V\n")
    before = (w.repo / "patches/hook.patch").read_text()
    w.good("pull")
    core = (w.repo / "patches/core.patch").read_text()
    assert "+core line twenty" in core and core.startswith("iommu: Change for core.patch\n\nBecause")
    assert f"--- a/{CORE}\n+++ b/{CORE}\n@@ " in core and "Index:" not in core, core
    assert "+intel line V" in (w.repo / "patches/driver.patch").read_text()
    assert (w.repo / "patches/hook.patch").read_text() == before
    w.round_trip()


def test_pull_refuses_what_is_unclear(w):
    w.ready()
    w.edit(KCONFIG, "kconfig line 20\n", "kconfig line twenty\n")
    w.edit("tools/testing/README", "x", "y")
    w.edit(CORE, "core line 20\n", "core line twenty\n")
    w.refused("say which patch", "pull")
    assert f"{KCONFIG}: in driver.patch and hook.patch" in w.output, w.output
    assert "tools/testing/README: in no patch" in w.output and CORE not in w.output
    w.good("pull", "PATCH=driver")
    assert "+kconfig line twenty" in (w.repo / "patches/driver.patch").read_text()
    assert "+y" in (w.repo / "patches/driver.patch").read_text()
    assert "+core line twenty" in (w.repo / "patches/core.patch").read_text()
    w.round_trip()


def test_pull_into_a_new_patch(w):
    w.ready()
    w.edit("tools/testing/README", "x", "y")
    w.good("pull", "PATCH=readme")
    text = (w.repo / "patches/readme.patch").read_text()
    assert text.startswith("tools/testing: <what the patch does") and "Signed-off-by: " in text, text
    assert (w.repo / "patches/series").read_text().endswith("hook.patch\nreadme.patch\n")
    w.round_trip()


def test_pull_picks_files(w):
    w.ready()
    w.edit(CORE, "core line 20\n", "core line twenty\n")
    w.edit(INTEL, "intel line 20\n", "intel line twenty\n")
    w.good("pull", "PATCH=second", f"FILES={CORE}")
    assert "+core line twenty" in (w.repo / "patches/second.patch").read_text()
    w.refused("edits that are not in the repository", "tree")
    assert INTEL in w.output and CORE not in w.output, w.output
    w.good("pull")
    w.round_trip()


def test_pull_refuses_an_edit_that_collides(w):
    w.ready()
    w.edit(KCONFIG, "kconfig line thirty\n", "kconfig line XXX\n")
    w.refused("Nothing was changed", "pull", "PATCH=driver")
    w.good("pull", "PATCH=hook")
    w.round_trip()


def test_pull_refuses_a_change_on_both_sides(w):
    w.ready()
    w.edit(NEW, "core", "mine")
    w.edit(NEW, "core", "theirs", w.repo)
    w.refused("changed in the repository since make tree", "pull")
    w.edit(NEW, "theirs", "mine", w.repo)
    w.good("tree")


def test_pull_beside_other_changes(w):
    w.ready()
    w.edit(NEW, "core", "mine")
    w.edit("patches/core.patch", "+core line ten", "+core line TEN", w.repo)
    w.good("pull")
    w.good("tree")
    assert "TEN" in (w.tree / CORE).read_text() and "mine" in (w.repo / NEW).read_text()
    w.round_trip()


def test_pull_deletes_a_kernel_file(w):
    w.ready()
    (w.tree / "tools/testing/README").unlink()
    w.refused("say which patch", "pull")
    w.good("pull", "PATCH=hook")
    w.round_trip()
    assert not (w.tree / "tools/testing/README").exists()


def test_pull_adds_a_file_in_a_patch(w):
    """The repository has its own scripts/: a new file of the kernel's is a patch."""
    w.ready()
    w.put(w.tree, {"scripts/new.sh": "echo\n"})
    w.refused("say which patch", "pull")
    w.good("pull", "PATCH=script")
    assert not (w.repo / "scripts/new.sh").exists()
    w.round_trip()
    (w.tree / "scripts/new.sh").unlink()
    w.good("pull")
    w.round_trip()


def test_pull_an_edit_that_empties_a_patch(w):
    w.ready()
    w.put(w.tree, {CORE: lines("core")})
    w.good("pull")
    assert "empty" in w.output, w.output
    assert (w.repo / "patches/core.patch").read_text().startswith("iommu: Change for core.patch")
    w.round_trip()


def test_pull_refuses_a_mode(w):
    w.ready()
    (w.tree / "tools/testing/README").chmod(0o755)
    w.refused("cannot express", "pull", "PATCH=mode")


def test_apply_and_unapply(w):
    clean = w.snapshot(w.kernel)
    w.good("apply", f"LINUX={w.kernel}")
    assert "ten\n" in (w.kernel / CORE).read_text() and (w.kernel / NEW).exists()
    w.refused("already", "apply", f"LINUX={w.kernel}")
    w.edit("patches/core.patch", "+core line ten", "+core line TEN", w.repo)
    w.good("unapply", f"LINUX={w.kernel}")
    assert w.snapshot(w.kernel) == clean
    w.refused("has put nothing", "unapply", f"LINUX={w.kernel}")
    w.refused("say which tree", "apply")


def test_apply_says_which_hunk_does_not_fit(w):
    w.edit(CORE, "core line 9\n", "other\n", w.kernel)
    w.edit(CORE, "core line 10\n", "another\n", w.kernel)
    (w.kernel / INTEL).unlink()
    w.refused("nothing was changed", "apply", f"LINUX={w.kernel}")
    assert f"core.patch: {CORE}: hunk 1 (line 7)" in w.output, w.output
    assert f"driver.patch: {INTEL}: there is no such file" in w.output, w.output


def test_apply_refuses_a_dirty_git_tree(w):
    w.commit(w.kernel)
    w.edit("tools/testing/README", "x", "y", w.kernel)
    w.refused("not committed", "apply", f"LINUX={w.kernel}")
    w.good("apply", f"LINUX={w.kernel}", "FORCE=1")
    assert "git switch -c" in w.output
    w.good("unapply", f"LINUX={w.kernel}")
    w.edit("tools/testing/README", "y", "x", w.kernel)
    status = subprocess.run(["git", "status", "--porcelain"], cwd=w.kernel, stdout=subprocess.PIPE, check=True)
    assert not status.stdout


def test_apply_to_a_neighbour(w):
    """Lines that moved do not matter, and unapply keeps what the user did since."""
    w.edit("Makefile", "PATCHLEVEL = 3", "PATCHLEVEL = 4", w.kernel)
    w.edit(CORE, "core line 1\n", "one\ntwo\nthree\nfour\n", w.kernel)
    w.good("apply", f"LINUX={w.kernel}")
    assert "is Linux 7.4.4" in w.output
    w.edit(CORE, "core line 40\n", "user's\n", w.kernel)
    w.edit(NEW, "core", "user", w.kernel)
    w.refused("does not come out", "unapply", f"LINUX={w.kernel}")
    w.good("unapply", f"LINUX={w.kernel}", "FORCE=1")
    text = (w.kernel / CORE).read_text()
    assert "user's" in text and "core line 10\n" in text


def test_series_by_default(w):
    w.commit(w.repo)
    w.git(w.repo, "config", "user.name", "A")
    w.git(w.repo, "config", "user.email", "a@b")
    w.ready()
    w.good("series")
    names = sorted(p.name for p in (w.out / "series").iterdir())
    assert len(names) == 5 and names[2] == "0002-iommu-Change-for-core.patch.patch", names
    w.edit(CORE, "core line 20\n", "mine\n")
    w.refused("make pull first", "series")


def test_series_in_steps(w):
    w.commit(w.repo)
    w.git(w.repo, "config", "user.name", "A")
    w.git(w.repo, "config", "user.email", "a@b")
    text = "[core]\nmessage = core.txt\nnew = drivers/\npatches = core.patch\n[driver]\n" \
        "new = tools/testing/selftests/iommu/run.sh\npatches = driver.patch\n"
    w.put(w.repo / "patches", {"core.txt": "iommu: Core\n\nWhy.\n\nSigned-off-by: A <a@b>\n", "steps": text,
                               "cover-letter": "iommu: A series\n\nFor the test.\n"})
    w.ready()
    w.refused("does not fit the repository", "series")
    assert "hook.patch: is in no step" in w.output
    w.put(w.repo / "patches", {"steps": text + "[hook]\npatches = hook.patch\n"})
    w.good("series")
    mails = sorted((w.out / "series").iterdir())
    assert len(mails) == 4
    assert "Subject: [PATCH 0/3] iommu: A series" in mails[0].read_text()
    assert f"b/{NEW}" in mails[1].read_text() and f"b/{CORE}" in mails[1].read_text()
    assert "new file mode 100755" in mails[2].read_text()


def sized(w, files, steps):
    """A world with these new files besides core.c, in steps of their own."""
    w.git(w.repo, "config", "user.name", "A")
    w.git(w.repo, "config", "user.email", "a@b")
    w.put(w.repo, files)
    text = "".join(f"[{name}]\nmessage = {name}.txt\nnew = {new}\n" for name, new in steps.items()) + \
        f"[core]\nmessage = core.txt\nnew = {NEW} {TOOL}\npatches = core.patch driver.patch hook.patch\n"
    w.put(w.repo / "patches", {f"{name}.txt": f"iommu: {name}\n\nWhy.\n" for name in [*steps, "core"]})
    w.put(w.repo / "patches", {"steps": text})
    w.ready()


def test_series_counts_code(w):
    w.commit(w.repo)
    w.put(w.kernel, {"Documentation/index.rst": "x\n"})
    code = "/* What\n * it is */\n\n// more\nint a; /* one\n */ int b;\n"
    sized(w, {"drivers/iommu/kdump/b.c": code + "int c;\n" * 398, "drivers/iommu/kdump/b_kunit.c": "int c;\n" * 500,
              "Documentation/iommu/b.rst": "text\n" * 500}, {"big": "drivers/iommu/kdump/b*.c Documentation/"})
    w.good("series")
    assert "\n   400  iommu: big\n     5  iommu: core\n" in w.output, w.output
    w.edit("drivers/iommu/kdump/b.c", "int a;", "int\na;", w.repo)
    w.good("tree")
    assert not w.make("series")
    assert "error: out/series is written, but too large" in w.output, w.output
    assert "\n  iommu: big: 401 lines of code, at most 400\n" in w.output, w.output


def test_series_lets_no_driver_grow(w):
    w.commit(w.repo)
    path = "drivers/iommu/amd/init.c"
    w.put(w.kernel, {path: lines("amd")})
    w.patch("grow.patch", {path: ("amd line 7\n", "amd line VII\n")})
    sized(w, {}, {})
    w.edit("patches/steps", "hook.patch\n", "hook.patch grow.patch\n", w.repo)
    w.good("series")
    assert "drivers/iommu/amd/    +1 -1 (+0)" in w.output, w.output
    w.edit(path, "amd line 20\n", "amd line 20\namd line XX\n")
    w.good("pull")
    assert not w.make("series")
    assert "\n  drivers/iommu/amd/: +1 lines in existing files, at most +0\n" in w.output, w.output


def test_series_has_a_makefile_grow(w):
    w.commit(w.repo)
    makefile = "# What\n\nobj-$(A) += core.o one.o two.o\n\nobj-$(B) += three.o\n"
    sized(w, {"drivers/iommu/kdump/Makefile": makefile} |
          {f"drivers/iommu/kdump/{name}.c": "" for name in ("one", "two", "three")},
          {"a": "drivers/iommu/kdump/Makefile drivers/iommu/kdump/two.c", "b": "drivers/iommu/kdump/one.c",
           "c": "drivers/iommu/kdump/three.c"})
    w.good("series")
    mails = [mail.read_text() for mail in sorted((w.out / "series").iterdir())[1:]]
    assert "+# What\n+\n+obj-$(A) += two.o\ndiff" in mails[0], mails[0]
    added = [[line[1:] for line in mail.splitlines() if line.startswith("+obj-")] for mail in mails]
    assert added == [["obj-$(A) += two.o"], ["obj-$(A) += one.o two.o"], ["obj-$(B) += three.o"],
                     ["obj-$(A) += core.o one.o two.o"]], added


def test_series_begins_a_file(w):
    w.commit(w.repo)
    path = "drivers/iommu/kdump/long.c"
    sized(w, {path: "int a;\n\n/* Then */\nint b;\n"}, {"tail": path})
    steps = (w.repo / "patches/steps").read_text()
    w.put(w.repo / "patches", {"head.txt": "iommu: head\n\nWhy.\n"})
    for wrong in (f"{path}:/* Never", f"{path}:", f"{path}x:/* Then"):
        w.put(w.repo / "patches", {"steps": f"[head]\nmessage = head.txt\nhead = {wrong}\n{steps}"})
        w.refused("does not fit the repository", "series")
    w.put(w.repo / "patches", {"steps": f"{steps}[head]\nmessage = head.txt\nhead = {path}:/* Then\n"})
    w.refused("does not fit the repository", "series")
    w.put(w.repo / "patches", {"steps": f"[head]\nmessage = head.txt\nhead = {path}:/* Then\n{steps}"})
    w.good("series")
    mails = [mail.read_text() for mail in sorted((w.out / "series").iterdir())[1:]]
    assert "@@ -0,0 +1 @@\n+int a;\n-- " in mails[0], mails[0]
    assert "\n int a;\n+\n+/* Then */\n+int b;\n" in mails[1], mails[1]


def run(name):
    """One test in a world of its own; ok or not, and its lines of TAP."""
    with tempfile.TemporaryDirectory(prefix="test-tree.") as root:
        try:
            skip = globals()[name](World(root))
            return True, "", f" # SKIP {skip}" if skip else ""
        except (AssertionError, OSError, subprocess.CalledProcessError) as error:
            lines = f"{type(error).__name__}: {error}".splitlines()
            return False, "".join(f"# {line}\n" for line in lines), ""


def main():
    tests = [name for name in globals() if name.startswith("test_")]
    if sys.argv[1:]:
        tests = [name for name in tests if name in sys.argv[1:]]
    failed = 0
    print("TAP version 13")
    print(f"1..{len(tests)}", flush=True)
    # most of each is a program that is waited for
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, (name, result) in enumerate(zip(tests, pool.map(run, tests)), 1):
            good, why, skip = result
            failed += not good
            print(f"{why}{'' if good else 'not '}ok {number} "
                  f"{name.removeprefix('test_')}{skip}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
