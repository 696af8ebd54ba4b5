# SPDX-License-Identifier: GPL-2.0-only
"""The KUnit kernel of User Mode Linux, for the scripts that start it many times."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools/testing/selftests/iommu/kdump"))

from rig import processes  # noqa: E402

SMALL_SUITE = "oldmem_kdump"
# What each instance writes about itself, below the user's home otherwise.
_own = tempfile.TemporaryDirectory(prefix="uml.")


def say(text):
    print(text, flush=True)


def build(name, **settings):
    """Build a KUnit kernel by kunit.sh in this folder of OUT/build: the folder."""
    folder = pathlib.Path(os.environ["OUT"]) / "build" / name
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("FILTER", "ARGS", "KUNIT_TIMEOUT")}
    status, output = processes.run(
        [str(HERE / "kunit.sh")], 24 * 3600,
        env=environment | {"KUNIT_BUILD": str(folder), "FILTER": SMALL_SUITE} | settings)
    if status:
        raise SystemExit(f"error: the KUnit kernel of {folder} does not build or run:\n"
                         f"{output.decode('utf-8', 'replace')[-3000:]}")
    return folder


def copied_tree(texts):
    """A copy of out/linux with these files changed, {path: text}; the same copy for all, so
    that little is built anew."""
    out = pathlib.Path(os.environ["OUT"])
    copy = out / "mutate-all/linux"
    copy.mkdir(parents=True, exist_ok=True)
    # What is changed in the copy; also if a run was interrupted
    record = out / "mutate-all/changed.json"
    now = {str(path) for path in texts}
    before = set(json.loads(record.read_text(encoding="utf-8")) if record.exists() else ())
    record.write_text(json.dumps(sorted(before | now)), encoding="utf-8")
    subprocess.run(
        ["rsync", "-a", "--delete", "--exclude=/.build*", "--exclude=/.lint",
         *(f"--exclude=/{path}" for path in texts), f"{out}/linux/", f"{copy}/"],
        check=True)
    # What comes back may be older than what was built from the other version.
    for path in before - now:
        if (copy / path).exists():
            os.utime(copy / path)
    for path, text in texts.items():
        place = copy / path
        if not place.exists() or place.read_text(encoding="utf-8") != text:
            place.write_text(text, encoding="utf-8")
    record.write_text(json.dumps(sorted(now)), encoding="utf-8")
    return copy


def boot(folder, words, timeout, **options):
    """Run the kernel with these words: (console, whether it has got to its end)."""
    command = [str(folder / "linux"), "mem=1G", "console=tty", f"uml_dir={_own.name}/",
               "kunit.enable=1", "kunit_shutdown=halt", *words]
    _status, output = processes.run(command, timeout, **options)
    text = output.decode("utf-8", "replace")
    return text, "reboot: System halted" in text


class Reasons:
    """A list of exceptions: keys, a line each, and their reason indented below them. A key
    between slashes is a pattern for whole keys."""

    def __init__(self, path):
        self.name = path.name
        self.exact, self.patterns = {}, {}
        keys, text = [], ""
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in [*lines, "end"]:
            if line.startswith("\t") and keys:
                text = (text + " " + line.strip()).strip()
            elif line and not line.startswith("#"):
                if text:
                    self._add(keys, text)
                    keys, text = [], ""
                keys.append(line)
        if keys != ["end"]:
            raise SystemExit(f"error: {path.name}: there is no reason for {keys[0]}")

    def _add(self, keys, text):
        for key in keys:
            if key.startswith("/") and key.endswith("/"):
                self.patterns[re.compile(key[1:-1])] = text
            else:
                self.exact[key] = text

    def get(self, key):
        """The reason, or None."""
        return self.exact.get(key) or next(
            (text for pattern, text in self.patterns.items() if pattern.fullmatch(key)), None)

    def stale(self, keys):
        """What in the list is not for any of these keys."""
        return sorted(set(self.exact) - set(keys)) + [
            f"/{pattern.pattern}/" for pattern in self.patterns
            if not any(pattern.fullmatch(key) for key in keys)]


def failure(text):
    """The first thing that has gone wrong, or None."""
    match = re.search(r"^(?:\[.*?\] )?(?: {4,}not ok \d+ (\S+)|"
                      r".*((?:KASAN|UBSAN|BUG|WARNING): .*|Oops.*|Kernel panic.*|"
                      r"turning off the locking.*))", text, re.M)
    return (match[1] or match[2]).strip() if match else None
