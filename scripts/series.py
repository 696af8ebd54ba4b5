#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Write out/series: the cover letter and one patch per step, for git am.

patches/steps lists the steps, in the order in which they are mailed:

  [core-types]
  message = messages/core-types.txt
  new     = include/linux/iommu-kdump.h drivers/iommu/kdump/
  patches = iommu-ops.patch

A step adds new files (a directory stands for all new files below it, a pattern
for those that match it; the longest name counts) and applies patches of the quilt
series. Its commit message is a file below patches/, or the head of its patch if
that is the only one. Without patches/steps, all new files are the first step and
each patch is one more. patches/cover-letter is the text of the cover letter, its
subject first.

New files come whole, in the step that names them, in an order in which each one
needs only what is there already. There are two exceptions. So that each can be
built from its step on, a new Makefile comes without the objects whose sources are
new and belong to a later step, and gets them there. And of a file that is too
large for one patch an earlier step may have the beginning, up to the first line
that starts with a text:

  head    = drivers/iommu/kdump/core.c:/* What comes next

What git am makes of the result is compared with out/linux, file by file. Then
the size of each patch is printed, and has to be within the limits below.
"""

import configparser
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

from tree import (BASE, OUT, PATCHES, REPO, TREE, Refusal, Tree, desired, overlay, patched, read_file,
                  scratch, series, version, write_new)

# Lines of code that a patch may add
MAX_ADDED = 400
# How many lines more than now these may have in the files that they have today
MAX_GROWTH = {"drivers/iommu/intel/": 0, "drivers/iommu/amd/": 0}

CODE = re.compile(r"(\.[chS]|(^|/)(Makefile|Kconfig)[^/]*)$")
TESTS = re.compile(r"kunit[^/]*$|^(lib|include)/kunit/|^tools/testing/|^Documentation/")


def git(directory, *args):
    result = subprocess.run(["git", "-C", str(directory), "-c", "core.autocrlf=false",
                             "-c", "core.hooksPath=/dev/null", *args],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            errors="surrogateescape", check=False)
    if result.returncode:
        raise Refusal(f"git {args[0]} failed: {(result.stderr or result.stdout).strip()}")
    return result.stdout


def identity():
    """Who sends the series, and signs it off."""
    found = {}
    for key in ("name", "email"):
        value = os.environ.get(f"GIT_COMMITTER_{key.upper()}", "")
        if not value:
            value = subprocess.run(["git", "-C", str(REPO), "config", f"user.{key}"],
                                   stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
        if not value:
            raise Refusal(f"git does not know who you are: git config user.{key} ...")
        found[f"GIT_AUTHOR_{key.upper()}"] = found[f"GIT_COMMITTER_{key.upper()}"] = value
    return found


def head(text):
    """The commit message at the head of a patch."""
    lines = []
    for line in text.splitlines():
        if line == "---" or line.startswith(("--- ", "diff ", "Index: ")):
            break
        lines.append(line)
    return "\n".join(lines).strip() + "\n"


def read_steps(new):
    """A list of (name, message, new files, patches)."""
    names = series()
    path = PATCHES / "steps"
    if not path.exists():
        steps = [(n, head((PATCHES / n).read_text()), [], [n]) for n in names]
        if new:
            steps.insert(0, ("new-files", "iommu: Add the crashdump framework\n", sorted(new), []))
        return steps

    config = configparser.ConfigParser(interpolation=None)
    config.read_string(path.read_text())
    steps, problems = [], []
    # The longest name wins: a file, or the deepest directory.
    owner = {}
    for section in config.sections():
        for entry in config[section].get("new", "").split():
            members = [p for p in new if p == entry or (p.startswith(entry) if entry.endswith("/")
                                                        else fnmatch(p, entry))]
            if not members:
                problems.append(f"[{section}] {entry}: there is no such new file")
            for member in members:
                if len(entry) > len(owner.get(member, ("", ""))[1]):
                    owner[member] = section, entry
    used = {}
    for section in config.sections():
        mine = config[section].get("patches", "").split()
        for name in mine:
            if name not in names:
                problems.append(f"[{section}] {name}: is not in patches/series")
            if name in used:
                problems.append(f"[{section}] {name}: is in [{used[name]}] already")
            used[name] = section
        message = config[section].get("message", "")
        if message and (PATCHES / message).is_file():
            text = (PATCHES / message).read_text()
        elif not message and len(mine) == 1 and mine[0] in names:
            text = head((PATCHES / mine[0]).read_text())
        else:
            text = ""
            problems.append(f"[{section}] needs message = a file below patches/")
        steps.append((section, text, sorted(p for p in new if owner.get(p, ("",))[0] == section), mine))
    problems += [f"{p}: is in no step" for p in sorted(new) if p not in owner]
    problems += [f"{n}: is in no step" for n in names if n not in used]
    if problems:
        raise Refusal("patches/steps does not fit the repository", problems)
    return steps


def check_messages(steps):
    problems = []
    for name, text, _, _ in steps:
        lines = text.splitlines()
        if not lines or "<" in lines[0]:
            problems.append(f"{name}: has no subject")
        elif len(lines) < 3 or lines[1]:
            problems.append(f"{name}: wants a subject, an empty line, and the reason")
    for line in problems:
        print(f"note: {line}", file=sys.stderr)


def cover_letter(file):
    """Put the text of the cover letter where git has left room for it."""
    path = PATCHES / "cover-letter"
    if not path.exists():
        print("note: patches/cover-letter is missing: the cover letter has no text", file=sys.stderr)
        return
    subject, _, body = path.read_text().strip().partition("\n")
    text = file.read_text(errors="surrogateescape")
    text = text.replace("*** SUBJECT HERE ***", subject, 1)
    text = text.replace("*** BLURB HERE ***", body.strip(), 1)
    file.write_text(text, errors="surrogateescape")


def put(root, files):
    for path, file in files.items():
        Path(root, path).unlink(missing_ok=True)
        if file is not None:
            write_new(Path(root, path), file)


def repository(directory, files):
    """A git repository with nothing but the files that the series touches."""
    directory.mkdir()
    git(directory, "init", "-q")
    put(directory, {p: f for p, f in files.items() if f is not None})
    git(directory, "add", "-A", "-f")
    git(directory, "commit", "-q", "--allow-empty", "-m", f"Linux {version(BASE)}")


def read_heads(new, steps):
    """For each step with the beginning of a file: path, and what it is."""
    config = configparser.ConfigParser(interpolation=None)
    if (PATCHES / "steps").exists():
        config.read_string((PATCHES / "steps").read_text())
    heads, problems, seen = {}, [], set()
    for name, _, files, _ in steps:
        seen |= set(files)
        head_of = config.get(name, "head", fallback="")
        path, _, text = head_of.partition(":")
        if not head_of:
            continue
        before, found, _ = (b"\n" + new[path][1]).partition(f"\n{text}".encode()) if path in new else (b"", b"", b"")
        if not text or not found:
            problems.append(f"[{name}] head = {head_of}: there is no new file with such a line")
        elif path in seen:
            problems.append(f"[{name}] head = {head_of}: all of the file is there already")
        heads[name] = path, (new[path][0] if path in new else "f", before[1:].rstrip(b"\n") + b"\n")
    if problems:
        raise Refusal("patches/steps does not fit the repository", problems)
    return heads


def makefile_until(file, path, later):
    """A new Makefile without the objects of @later, sources that are yet to come."""
    kind, data = file
    lines = []
    for line in data.decode().splitlines(True):
        kept = re.sub(r" (\S+)\.o\b", lambda m: "" if str(Path(path).parent / f"{m[1]}.c") in later else m[0], line)
        # An object less, or the last one of its line.
        if kept == line or ".o" in kept:
            lines.append(kept)
    text = "".join(lines)
    if text.encode() != data:
        # No paragraphs of nothing
        text = re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"
    return kind, text.encode()


def code_lines(path, text):
    """The numbers of the lines that are neither empty nor a comment only."""
    found = set()
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if path.endswith((".c", ".h", ".S")):
            rest = ""
            while line:
                if inside:
                    _, end, line = line.partition("*/")
                    inside = not end
                else:
                    before, start, line = line.partition("/*")
                    rest += before
                    inside = bool(start)
            line = rest.partition("//")[0]
        else:
            line = line.partition("#")[0]
        if line.strip():
            found.add(number)
    return found


def added_code(directory, commit):
    """Lines of code that a commit adds: no tests, no documentation."""
    count = 0
    path, code = "", set()
    for line in git(directory, "diff", "-U0", "--no-renames", "--no-color", f"{commit}^", commit).splitlines():
        if line.startswith("+++ "):
            path = line.removeprefix("+++ b/")
            code = set()
            if CODE.search(path) and not TESTS.search(path) and path != "+++ /dev/null":
                code = code_lines(path, git(directory, "show", f"{commit}:{path}"))
        elif code and (match := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line)):
            first = int(match[1])
            count += len(code & set(range(first, first + int(match[2] or 1))))
    return count


def balance(directory):
    """Lines added to and removed from existing files, by area, and what is too much."""
    areas = {area: [0, 0] for area in [*MAX_GROWTH, "elsewhere"]}
    new = set(git(directory, "diff", "--diff-filter=A", "--name-only", "start", "HEAD").split())
    for line in git(directory, "diff", "--numstat", "start", "HEAD").splitlines():
        added, removed, path = line.split("\t")
        if path not in new and added != "-":
            area = next((a for a in MAX_GROWTH if path.startswith(a)), "elsewhere")
            areas[area][0] += int(added)
            areas[area][1] += int(removed)
    problems = []
    for area, (added, removed) in areas.items():
        print(f"  existing files, {area:21} +{added} -{removed} ({added - removed:+})")
        if added - removed > MAX_GROWTH.get(area, added):
            problems.append(f"{area}: {added - removed:+} lines in existing files, at most {MAX_GROWTH[area]:+}")
    return problems


def check_sizes(directory):
    """Print what each patch adds, and refuse what is too much."""
    problems = []
    print("  code  patch")
    for commit in git(directory, "rev-list", "--reverse", "start..HEAD").split():
        count = added_code(directory, commit)
        subject = git(directory, "log", "-1", "--format=%s", commit).strip()
        over = count > MAX_ADDED
        print(f"  {count:4}{'!' if over else ' '} {subject}")
        if over:
            problems.append(f"{subject}: {count} lines of code, at most {MAX_ADDED}")
    problems += balance(directory)
    if problems:
        raise Refusal("out/series is written, but too large to be mailed", problems)


def make_series():
    os.environ.update(identity())
    want = desired(BASE, f"Linux {version(BASE)}")
    edits = Tree().edits(want)
    if edits:
        raise Refusal("out/linux has edits that are not in the repository: make pull first", sorted(edits))
    new = overlay(BASE)
    steps = read_steps(new)
    if not steps:
        raise Refusal("there is nothing to send: the repository has no new file and no patch")
    check_messages(steps)
    base = {path: read_file(BASE, path) for path in want}

    with scratch() as work:
        tree = Path(work, "tree")
        repository(tree, base)
        git(tree, "tag", "start")
        makefiles = []
        later = set(new)
        heads = read_heads(new, steps)
        for name, message, files, patches in steps:
            put(tree, {p: new[p] for p in files})
            later -= set(files)
            makefiles += [p for p in files if Path(p).name == "Makefile"]
            put(tree, {p: makefile_until(new[p], p, later) for p in makefiles})
            put(tree, dict([heads[name]] if name in heads else []))
            for patch in patches:
                made, problems, _ = patched(tree, [patch])
                if problems:
                    raise Refusal(f"step {name}: the patch does not fit at this place of the series", problems)
                put(tree, made)
            git(tree, "add", "-A", "-f")
            Path(work, "message").write_text(message)
            git(tree, "commit", "-q", "--allow-empty-message", "-F", str(Path(work, "message")))

        result = Path(work, "series")
        git(tree, "format-patch", "-q", "--cover-letter", "--signoff", "--thread=shallow", "-o", str(result), "start")
        cover_letter(result / "0000-cover-letter.patch")

        # The proof: a second tree, made by git am alone.
        proof = Path(work, "proof")
        repository(proof, base)
        mails = sorted(str(p) for p in result.glob("*.patch") if not p.name.startswith("0000-"))
        git(proof, "am", "-q", *mails)
        different = [p for p in want if read_file(proof, p) != read_file(TREE, p)]
        extra = set(git(proof, "ls-files", "-z").split("\0")) - want.keys() - {""}
        if different or extra:
            raise Refusal("git am of the series does not give out/linux", sorted({*different, *extra}))

        shutil.rmtree(OUT / "series", ignore_errors=True)
        shutil.move(result, OUT / "series")
        print(f"out/series: {len(mails)} patches; git am of them on Linux {version(BASE)} gives "
              f"out/linux, {len(want)} files compared")
        check_sizes(tree)


def main():
    try:
        make_series()
    except Refusal as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        for line in refusal.details:
            print(f"  {line}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
