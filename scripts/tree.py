#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Move the framework between the repository and kernel trees.

  tree.py tree      make out/linux what the repository says
  tree.py pull      bring the edits made in out/linux into the repository
  tree.py status    list these edits
  tree.py apply     put the framework into the tree LINUX
  tree.py unapply   take it out again
  tree.py files     list the files that the framework adds or edits
  tree.py patches   list the patches

The repository holds new files, at the path that they have in the kernel, and a
quilt series of edits to existing files. What both together make of a tree is
computed in memory, as a dictionary from path to content, before anything is
written; out/state/laid.json remembers what was written to out/linux last, so an edit
is whatever differs from that.
"""

import argparse
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
OUT = Path(os.environ.get("OUT", REPO / "out"))
BASE = OUT / "base"
TREE = OUT / "linux"
STATE = OUT / "state"
PATCHES = REPO / "patches"
QUILTRC = REPO / "scripts/quiltrc"
FORCE = os.environ.get("FORCE", "") not in ("", "0")

# Directories of the kernel's that the repository has its own use for.
OWN_DIRS = {"scripts", "patches", "out"}

# What an installed framework leaves in a tree of the user's, for unapply.
RECORD = ".iommu-kdump"


class Refusal(Exception):
    """The line that says why, and what to do; then lines of detail."""

    def __init__(self, line, details=()):
        super().__init__(line)
        self.details = list(details)


# Files. A file is None where there is none, or a kind and its content: "f", or
# "x" if it is executable, or "l" for a symbolic link.


def read_file(root, path):
    full = Path(root, path)
    try:
        mode = full.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(mode):
        return "l", os.readlink(full).encode()
    if not stat.S_ISREG(mode):
        return "?", b""
    return "x" if mode & 0o100 else "f", full.read_bytes()


def write_new(full, file):
    full.parent.mkdir(parents=True, exist_ok=True)
    kind, data = file
    if kind == "l":
        full.symlink_to(data.decode())
    else:
        full.write_bytes(data)
        full.chmod(0o755 if kind == "x" else 0o644)


def prune_empty(root, directory):
    """Remove a directory that a removed file has left empty, and its parents."""
    while directory != Path(root):
        try:
            directory.rmdir()
        except OSError:
            return
        directory = directory.parent


def write_files(root, files):
    """Make every path of @files what @files says: all of them, or none.

    New content is complete on the disk before the first old one is replaced.
    """
    ready = {}
    done = []
    try:
        for path, file in files.items():
            if file is not None:
                full = Path(root, path)
                ready[path] = full.with_name(f".{full.name}.new")
                ready[path].unlink(missing_ok=True)
                write_new(ready[path], file)
        for path, file in files.items():
            full = Path(root, path)
            done.append((path, read_file(root, path)))
            if file is not None:
                os.replace(ready.pop(path), full)
            elif done[-1][1] is not None:
                full.unlink()
                prune_empty(root, full.parent)
    except BaseException:
        for path, old in reversed(done):
            full = Path(root, path)
            if read_file(root, path) != old:
                full.unlink(missing_ok=True)
                if old is not None:
                    write_new(full, old)
        for temporary in ready.values():
            temporary.unlink(missing_ok=True)
            prune_empty(root, temporary.parent)
        raise


def run(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False, **options)


def scratch():
    """A directory for work; it goes away by itself."""
    parent = OUT / "tmp"
    return tempfile.TemporaryDirectory(dir=parent if parent.is_dir() else None)


# The repository: new files and patches.


def is_overlay(path, kernel):
    """Does the repository's @path belong to the kernel tree?"""
    top, _, rest = path.partition("/")
    return bool(rest) and top not in OWN_DIRS and not top.startswith(".") and \
        Path(kernel, top).is_dir()


def repository_files():
    if (REPO / ".git").exists():
        listing = subprocess.run(
            ["git", "-C", str(REPO), "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"], stdout=subprocess.PIPE, check=True).stdout
        return sorted(set(filter(None, listing.decode().split("\0"))))
    junk = re.compile(r"(~|\.(o|orig|pyc|rej|swp))$|(^|/)__pycache__/")
    found = []
    for directory, subdirs, names in os.walk(REPO):
        if Path(directory) == REPO:
            subdirs[:] = [d for d in subdirs if d not in OWN_DIRS]
        found += [os.path.relpath(os.path.join(directory, n), REPO) for n in names]
    return sorted(f for f in found if not junk.search(f))


def overlay(kernel):
    files = {}
    for path in repository_files():
        if is_overlay(path, kernel):
            file = read_file(REPO, path)
            if file is not None:
                files[path] = file
    return files


def series():
    """The names of the patches, in order."""
    names = []
    if (PATCHES / "series").exists():
        for line in (PATCHES / "series").read_text().splitlines():
            words = line.split("#")[0].split()
            if words[1:] not in ([], ["-p1"]):
                raise Refusal(f"patches/series: '{line}': only plain names with -p1 are understood")
            names += words[:1]
    for name in names:
        if not (PATCHES / name).is_file():
            raise Refusal(f"patches/series lists {name}, which is not there: add it or drop the line")
        if re.search(rb"^(rename (from|to)|(old|new) mode|GIT binary patch)", (PATCHES / name).read_bytes(), re.M):
            raise Refusal(f"{name} renames a file, changes a mode or is binary: quilt cannot keep that")
    return names


def touched(name, directory=PATCHES):
    """The paths that a patch touches, from its header lines."""
    paths = []
    lines = Path(directory, name).read_text(errors="surrogateescape").splitlines()
    for old, new in zip(lines, lines[1:]):
        if old.startswith("--- ") and new.startswith("+++ "):
            side = old if new[4:].split("\t")[0].strip() == "/dev/null" else new
            path = side[4:].split("\t")[0].strip().partition("/")[2]
            if path not in paths:
                paths.append(path)
    return paths


def patched(kernel, names, directory=PATCHES, reverse=False):
    """What the patches make of a tree: the touched files, and what did not fit."""
    problems = []
    notes = []
    paths = sorted({p for n in names for p in touched(n, directory)})
    with scratch() as work:
        for path in paths:
            file = read_file(kernel, path)
            if file is not None:
                write_new(Path(work, path), file)
        for name in reversed(names) if reverse else names:
            if not touched(name, directory):
                continue
            result = run("patch", "-p1", "-f", "-E", "-N", "--no-backup-if-mismatch",
                         "--reject-file=-", *(["-R"] if reverse else []),
                         "-d", work, "-i", str(Path(directory, name).resolve()),
                         env=dict(os.environ, LC_ALL="C"))
            subject, missing = "?", False
            before = len(problems)
            for line in result.stdout.splitlines():
                if match := re.match(r"(?:patching|checking) file '?(.*?)'?( \(.*)?$", line):
                    subject = match[1]
                elif match := re.match(r"Hunk #(\d+) FAILED at (\d+)", line):
                    problems.append(f"{name}: {subject}: hunk {match[1]} (line {match[2]})")
                elif match := re.match(r"Hunk #(\d+) succeeded at (\d+).*with fuzz", line):
                    notes.append(f"{name}: {subject}: hunk {match[1]} fits only roughly (line {match[2]})")
                elif line.startswith("can't find file to patch"):
                    missing = True
                elif missing and (match := re.match(r"\|\+\+\+ [^/]*/(\S+)", line)):
                    problems.append(f"{name}: {match[1]}: there is no such file")
                    missing = False
                elif re.search(r"previously applied|already exists", line):
                    problems.append(f"{name}: {subject}: is in the tree already, or a file of this name is")
            if result.returncode and len(problems) == before:
                problems.append(f"{name}: {result.stdout.strip().splitlines()[-1]}")
        files = {path: read_file(work, path) for path in paths}
    return files, problems, notes


def desired(kernel, what):
    """All that the framework changes in the tree @kernel."""
    files = overlay(kernel)
    edits, problems, notes = patched(kernel, series())
    for path in files:
        if path in edits:
            problems.append(f"{path}: is a new file and in a patch: one of both has to go")
        elif read_file(kernel, path) is not None:
            problems.append(f"{path}: {what} has a file of this name")
    if problems:
        raise Refusal(f"the framework does not fit {what}: nothing was changed", problems)
    for note in notes:
        print("note:", note, file=sys.stderr)
    return files | edits


# out/linux and what was written to it.


def listing(root):
    """Every file with its size, time and mode: what shows that it changed."""
    found = subprocess.run(
        ["find", ".", "(", "-path", "./.build*", "-o", "-path", "./.lint", ")", "-prune", "-o",
         "(", "-type", "f", "-o", "-type", "l", ")", "-printf", r"%s %T@ %m\t%P\0"],
        cwd=root, stdout=subprocess.PIPE, check=True).stdout
    return set(found.split(b"\0")) - {b""}


def list_base():
    STATE.mkdir(exist_ok=True)
    (STATE / "base.list").write_bytes(b"\0".join(sorted(listing(BASE))))


def check_base():
    """The control has to stay what it is."""
    before = set((STATE / "base.list").read_bytes().split(b"\0")) - {b""}
    changed = {line.partition(b"\t")[2].decode() for line in before ^ listing(BASE)}
    if changed:
        raise Refusal("out/base is not the unmodified kernel any more: take your changes out of it, then "
                      "rm out/state/base.id and run make tree to have it made again", sorted(changed)[:20])


def load_laid(name):
    try:
        text = (STATE / f"{name}.json").read_text()
    except FileNotFoundError:
        return {}
    return {p: f and (f[0], f[1].encode("latin-1")) for p, f in json.loads(text).items()}


def save_laid(name, files):
    """Replace it in one step: without it, edits could not be told any more."""
    new = OUT / "tmp" / name
    new.write_text(json.dumps({p: f and (f[0], f[1].decode("latin-1")) for p, f in files.items()}))
    new.replace(STATE / f"{name}.json")


def ignored(paths):
    """Those of the @paths of out/linux that the kernel's .gitignore files name."""
    if not paths:
        return set()
    with scratch() as work:
        for directory in {str(parent) for path in paths for parent in Path(path).parents}:
            rules = Path(TREE, directory, ".gitignore")
            if rules.is_file():
                # Debian's has a line that ignores whatever is in the top directory.
                text = "".join(line for line in rules.open(errors="surrogateescape")
                               if line.rstrip() != "/*")
                copy = Path(work, directory, ".gitignore")
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(text, errors="surrogateescape")
        subprocess.run(["git", "-C", work, "init", "-q"], check=True)
        found = subprocess.run(["git", "-C", work, "-c", "core.excludesFile=/dev/null", "check-ignore",
                                "--no-index", "-z", "--stdin"], input="\0".join(paths).encode(),
                               stdout=subprocess.PIPE, check=False).stdout
    return set(found.decode().split("\0"))


class Tree:
    """out/linux: what is in it, what was put there, what was edited."""

    def __init__(self):
        self.laid = load_laid("laid")
        self.laying = load_laid("laying")

    def base(self, path):
        return read_file(BASE, path)

    def expected(self, path):
        return self.laid[path] if path in self.laid else self.base(path)

    def edits(self, want):
        """The files that are neither what was written nor what is to be written."""
        before = set((STATE / "base.list").read_bytes().split(b"\0"))
        changed = {line.partition(b"\t")[2].decode() for line in before ^ listing(TREE)}
        changed |= self.laid.keys() | self.laying.keys()
        found = {}
        for path in sorted(changed):
            file = read_file(TREE, path)
            known = [self.expected(path)]
            known += [source[path] for source in (self.laying, want) if path in source]
            # Interrupted on the way back to the unmodified file.
            if path in self.laid and path not in want:
                known.append(self.base(path))
            if file not in known:
                found[path] = file
        strangers = [p for p in found if p not in self.laid and self.base(p) is None]
        for path in ignored(strangers):
            found.pop(path, None)
        return found


def describe_edit(tree, path, file):
    if file is None:
        return f"deleted: {path}"
    return f"{'new' if tree.expected(path) is None else 'edited'}: {path}"


def have_tree():
    return TREE.is_dir() and (STATE / "laid.json").exists()


def need_tree():
    if not have_tree():
        raise Refusal("there is no out/linux yet: run make tree first")


def command_tree(args):
    tree = Tree()
    if args.only_check and not have_tree():
        return
    if not args.only_check:
        check_base()
    want = desired(BASE, f"Linux {version(BASE)}") if not args.only_check else {}
    if not have_tree():
        if TREE.is_dir():
            raise Refusal("out/linux is there, but out/state/laid.json is not, so nobody can tell what is "
                          "edited in it: move out/linux away and run make tree again")
        copy_base()
        tree = Tree()
    edits = tree.edits(want)
    if edits and args.keep:
        print(f"note: out/linux has {len(edits)} edits that are not in the repository, "
              "and is taken as it is: make status lists them, make pull brings them in",
              file=sys.stderr)
        return
    if edits and not FORCE:
        raise Refusal("out/linux has edits that are not in the repository: bring them in with "
                      "make pull, or drop them with make tree FORCE=1",
                      [describe_edit(tree, p, f) for p, f in edits.items()])
    if args.only_check:
        return

    changes = {}
    for path in sorted(tree.laid.keys() | tree.laying.keys() | want.keys() | edits.keys()):
        file = want[path] if path in want else tree.base(path)
        if read_file(TREE, path) != file:
            changes[path] = file
    if changes or tree.laid != want:
        save_laid("laying", want)
        write_files(TREE, changes)
        save_laid("laid", want)
    (STATE / "laying.json").unlink(missing_ok=True)
    patches = len(series())
    new = sum(1 for path in want if tree.base(path) is None)
    print(f"out/linux: Linux {version(BASE)}, {new} new files, {patches} patches; "
          f"{len(changes)} files updated")


def copy_base():
    """A fresh copy of out/base; an interrupted one does not count."""
    print("copying out/base to out/linux", flush=True)
    new = OUT / "tmp/linux"
    new.mkdir(parents=True)
    names = [str(BASE / n) for n in sorted(os.listdir(BASE)) if n not in (".build", ".build-dump", ".lint")]
    result = run("cp", "-a", "--reflink=auto", "-t", str(new), *names)
    if result.returncode:
        raise Refusal(f"cannot copy out/base: {result.stdout.strip().splitlines()[-1]}: "
                      "free space and run make tree again")
    save_laid("laid", {})
    new.rename(TREE)


def command_status(_args):
    need_tree()
    tree = Tree()
    edits = tree.edits(desired(BASE, f"Linux {version(BASE)}"))
    for path, file in edits.items():
        print(describe_edit(tree, path, file))
    print(f"{len(edits)} edits in out/linux that are not in the repository")


# From out/linux back to the repository.


def patch_name():
    name = os.environ.get("PATCH", "").removeprefix("patches/")
    if name and not name.endswith(".patch"):
        name += ".patch"
    if name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise Refusal(f"PATCH={name}: a name of letters, digits, '-', '_' and '.' is wanted")
    return name


def header_template(paths):
    def config(key):
        return run("git", "-C", str(REPO), "config", key).stdout.strip()

    common = os.path.commonpath([os.path.dirname(p) for p in paths])
    return (f"{common.removeprefix('drivers/') or 'kernel'}: <what the patch does, in one line>\n\n"
            "<why it is needed, and why it is done this way>\n\n"
            f"Signed-off-by: {config('user.name') or '<name>'} <{config('user.email') or 'mail'}>\n")


def merge(path, at_patch, at_top, edited):
    """Move the edit of @path, made with all patches applied, down to one patch."""
    if at_patch == at_top:
        return edited
    if None in (at_patch, at_top, edited):
        return "conflict"
    with scratch() as work:
        names = []
        for name, file in (("ours", at_patch), ("base", at_top), ("theirs", edited)):
            names.append(f"{work}/{name}")
            Path(names[-1]).write_bytes(file[1])
        result = subprocess.run(["git", "merge-file", "-p", "-q", *names],
                                stdout=subprocess.PIPE, check=False)
    return "conflict" if result.returncode else (edited[0], result.stdout)


def quilt(work, *command):
    return run("quilt", "--quiltrc", str(QUILTRC), *command, cwd=work,
               env=dict(os.environ, LC_ALL="C", PATCH=""))


def refreshed_series(edits, target, want):
    """The patches with @edits brought in, each into the patch that @target names."""
    names = series()
    fresh = [n for n in dict.fromkeys(target.values()) if n not in names]
    with scratch() as work:
        paths = {p for n in names for p in touched(n)} | edits.keys()
        for path in paths:
            file = read_file(BASE, path)
            if file is not None:
                write_new(Path(work, path), file)
        shutil.copytree(PATCHES, Path(work, "patches")) if PATCHES.is_dir() else \
            Path(work, "patches").mkdir()
        (Path(work) / "patches/series").write_text("".join(f"{n}\n" for n in names))
        for name in names + fresh:
            mine = [p for p in edits if target[p] == name]
            step = quilt(work, "new", name) if name in fresh else quilt(work, "push")
            if step.returncode:
                raise Refusal(f"the edits and {name} get into each other's way: give the last patch "
                              "that touches these files as PATCH=, or a new one. Nothing was changed",
                              sorted(p for p in edits if p in touched(name)))
            for path in mine:
                if name in fresh or path not in touched(name):
                    quilt(work, "add", path)
                file = merge(path, read_file(work, path), want.get(path, read_file(BASE, path)),
                             edits[path])
                if file == "conflict":
                    raise Refusal(f"{path}: the edit does not fit below the later patches that touch "
                                  "it: give the last of them as PATCH=. Nothing was changed")
                Path(work, path).unlink(missing_ok=True)
                if file is not None:
                    write_new(Path(work, path), file)
            if mine:
                if name in fresh:
                    header = run("quilt", "--quiltrc", str(QUILTRC), "header", "-r", cwd=work,
                                 input=header_template(mine))
                    step = header if header.returncode else step
                step = quilt(work, "refresh")
                if step.returncode and "Nothing in patch" not in step.stdout:
                    raise Refusal(f"quilt cannot refresh {name}: {step.stdout.strip()}")
        # Nothing may be lost: the new series has to make the very same tree.
        made = patched(BASE, names + fresh, Path(work, "patches"))[0]
        for path in sorted(paths):
            goal = edits[path] if path in edits else want[path]
            if made.get(path, read_file(BASE, path)) != goal:
                raise Refusal(f"{path}: a patch cannot express this change (a mode, or binary "
                              "content): undo it in out/linux. Nothing was changed")
        result = {}
        for name in names + fresh:
            file = read_file(Path(work, "patches"), name)
            if file != read_file(PATCHES, name):
                result[f"patches/{name}"] = file
        if fresh:
            old = (PATCHES / "series").read_text() if (PATCHES / "series").exists() else ""
            result["patches/series"] = "f", (old + "".join(f"{n}\n" for n in fresh)).encode()
    return result


def command_pull(_args):
    need_tree()
    tree = Tree()
    want = desired(BASE, f"Linux {version(BASE)}")
    edits = tree.edits(want)
    name = patch_name()
    only = os.environ.get("FILES", "").split()
    if only:
        unknown = [f for f in only if f not in edits]
        if unknown:
            raise Refusal(f"FILES: no edit in {' '.join(unknown)}: make status lists the edits")
        edits = {p: f for p, f in edits.items() if p in only}
    if not edits:
        print("nothing to pull: out/linux has no edits")
        return

    both = [p for p in edits if p not in tree.laying and
            (want[p] if p in want else tree.base(p)) != tree.expected(p)]
    if both:
        raise Refusal("edited in out/linux, and changed in the repository since make tree: set the "
                      "repository's change aside (git stash), pull, and bring it back. Nothing was changed",
                      both)

    files = overlay(BASE)
    names = series()
    users = {p: [n for n in names if p in touched(n)] for p in edits}
    changes, target, unclear = {}, {}, []
    for path, file in edits.items():
        if file is not None and file[0] == "?":
            raise Refusal(f"{path}: neither a file nor a link: remove it from out/linux")
        if path in files or (tree.base(path) is None and not users[path] and is_overlay(path, BASE)):
            changes[path] = file
        elif len(users[path]) == 1 and not (only and name):
            target[path] = users[path][0]
        elif name:
            target[path] = name
        else:
            where = f"in {' and '.join(users[path])}" if users[path] else "in no patch"
            unclear.append(f"{path}: {where}")
    if unclear:
        raise Refusal("say which patch these edits belong to, with PATCH=name (a new name adds a "
                      'patch; FILES="file ..." picks files). Nothing was changed', unclear)

    if target:
        moved = {p: edits[p] for p in target}
        changes |= refreshed_series(moved, target, {p: f for p, f in want.items() if p not in files})
    write_files(REPO, changes)
    for path, file in edits.items():
        if file == tree.base(path):
            tree.laid.pop(path, None)
        else:
            tree.laid[path] = file
    save_laid("laid", tree.laid)
    for path, file in changes.items():
        print(f"{'removed' if file is None else 'written'}: {path}")
        if path.endswith(".patch") and file is not None:
            if not touched(path.removeprefix("patches/")):
                print(f"note: {path} is empty now: remove it and its line in patches/series",
                      file=sys.stderr)
            elif b"<what the patch does" in file[1]:
                print(f"note: {path} is new: replace its head by a commit message", file=sys.stderr)


# A tree of the user's.


def version(kernel):
    try:
        text = Path(kernel, "Makefile").read_text()
    except OSError:
        return ""
    parts = [re.search(rf"^{k} *= *(\d+)$", text, re.M)
             for k in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    return ".".join(p[1] for p in parts) if all(parts) else ""


def user_tree():
    given = os.environ.get("LINUX", "")
    if not given:
        raise Refusal("say which tree: make apply LINUX=~/linux")
    kernel = Path(given).expanduser().resolve()
    if not version(kernel):
        raise Refusal(f"{kernel} is not a Linux source tree: give the directory with the top Makefile")
    if (kernel / ".git").exists() and not FORCE:
        dirty = run("git", "-C", str(kernel), "status", "--porcelain", "--untracked-files=no").stdout
        if dirty:
            raise Refusal(f"{kernel} has changes that are not committed: commit or stash them, or add "
                          "FORCE=1", [line[3:] for line in dirty.splitlines()[:10]])
    return kernel


def record_of(files, names):
    """What is left in the user's tree: enough to take the framework out again."""
    record = {f"{RECORD}/patches/{n}": read_file(PATCHES, n) for n in names}
    record[f"{RECORD}/series"] = "f", "".join(f"{n}\n" for n in names).encode()
    record[f"{RECORD}/new"] = "f", "".join(f"{p}\n" for p in files).encode()
    record |= {f"{RECORD}/files/{p}": f for p, f in files.items()}
    return record


def command_apply(_args):
    kernel = user_tree()
    if (kernel / RECORD).exists():
        raise Refusal(f"the framework is in {kernel} already: make unapply LINUX={kernel} first")
    release = os.environ.get("KERNEL", "")
    if release and not version(kernel).startswith(f"{release}."):
        print(f"note: {kernel} is Linux {version(kernel)}, the series is made for {release}.y",
              file=sys.stderr)
    want = desired(kernel, f"{kernel} (Linux {version(kernel)})")
    files = overlay(kernel)
    write_files(kernel, want | record_of(files, series()))
    print(f"{kernel}: {len(files)} new files, {len(want) - len(files)} files edited. "
          "Build it with CONFIG_CRASH_DUMP=y.")
    if (kernel / ".git").exists():
        quoted = " ".join(sorted({p.partition("/")[0] for p in want}))
        print("To keep it on a branch of its own:\n"
              f"  cd {kernel}\n"
              "  git switch -c iommu-kdump\n"
              f"  git add -A {quoted}\n"
              "  git commit -m 'iommu: Add the crashdump framework'")
    print(f"To take it out again: make unapply LINUX={kernel}")


def command_unapply(_args):
    # The framework itself is what makes a git tree dirty here.
    global FORCE
    force, FORCE = FORCE, True
    kernel = user_tree()
    record = kernel / RECORD
    if not record.exists():
        raise Refusal(f"make apply has put nothing into {kernel}, or its record {RECORD} is gone")
    names = (record / "series").read_text().split()
    new = (record / "new").read_text().splitlines()
    edits, problems, _ = patched(kernel, names, record / "patches", reverse=True)
    for path in new:
        file = read_file(kernel, path)
        if file not in (None, read_file(record / "files", path)) and not force:
            problems.append(f"{path}: has been edited, FORCE=1 removes it nevertheless")
    if problems:
        raise Refusal(f"the framework does not come out of {kernel}: nothing was changed", problems)
    write_files(kernel, edits | {p: None for p in new})
    shutil.rmtree(record)
    print(f"{kernel}: {len(new)} files removed, {len(edits)} files restored")


def command_files(args):
    want = desired(BASE, f"Linux {version(BASE)}")
    for path in sorted(overlay(BASE) if args.new else want):
        print(path)


def command_patches(_args):
    print("\n".join(series()))


def main():
    commands = {"tree": command_tree, "pull": command_pull, "status": command_status,
                "files": command_files, "patches": command_patches,
                "apply": command_apply, "unapply": command_unapply,
                "list-base": lambda _args: list_base()}
    parser = argparse.ArgumentParser(description="Move the framework between repository and kernel trees.")
    parser.add_argument("command", choices=commands)
    parser.add_argument("--keep", action="store_true", help="tree: leave a tree with edits as it is")
    parser.add_argument("--only-check", action="store_true", help="tree: only look for edits")
    parser.add_argument("--new", action="store_true", help="files: only the new ones")
    args = parser.parse_args()
    # Let an end from outside undo half done work too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        commands[args.command](args)
    except Refusal as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        for line in refusal.details:
            print(f"  {line}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename + ': ' if error.filename else ''}{error.strerror}: "
              "see to that and run this again; nothing is left half done", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
