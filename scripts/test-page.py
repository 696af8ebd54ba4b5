#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""test-page.py PAGE RESULTS: does the page show what the runs have given?

Opens the HTML page of kdump_rig.py in a headless browser without a network, reads
the table from the document that the browser has made of it, and compares each cell
with what RESULTS (results.jsonl) says of the runs of the page's session.
"""

import collections
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FIGURES = ("old_hits", "faults", "crash_hits", "marker_pages", "shared_iova_pages",
           "shared_ids", "translation_off", "off_at_end", "window_ms")


class Page(html.parser.HTMLParser):
    """Rows of the table, and whatever the page would fetch."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.fetched, self.pictures = [], [], 0
        self._cell = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        for name in ("src", "href"):
            if attrs.get(name, "data:").startswith("data:"):
                continue
            self.fetched.append(attrs[name])
        self.pictures += tag == "img"
        if tag == "tr" and "data-scenario" in attrs:
            self.rows.append(((attrs["data-scenario"], attrs["data-variant"],
                               attrs["data-kernel"]), []))
        elif tag == "td" and self.rows:
            self._cell = []

    def handle_data(self, data):
        if self._cell is not None:
            self._cell.append(data)

    def handle_endtag(self, tag):
        if tag == "td" and self._cell is not None:
            self.rows[-1][1].append("".join(self._cell))
            self._cell = None


def rendered(path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser",
                                                   "google-chrome"))), None)
    if not browser:
        sys.exit("error: no browser: install the package chromium")
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu",
             "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--no-first-run", f"--user-data-dir={profile}",
             "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom",
             path.resolve().as_uri()],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120,
            check=True)
    return done.stdout.decode("utf-8")


def span(values):
    """As the table writes what several runs gave."""
    ends = sorted({value for value in values if value is not None})
    if not ends:
        return "-"
    return "-".join(str(round(end, 2)) for end in sorted({ends[0], ends[-1]}))


def main():
    page, results = map(pathlib.Path, sys.argv[1:])
    text = rendered(page)
    session = re.search(r"Session <code>([^<]+)</code>", text)
    if not session:
        sys.exit(f"not ok 1 {page} names no session")
    runs = collections.defaultdict(list)
    for line in results.read_text().splitlines():
        result = json.loads(line)
        if result.get("session") == session[1]:
            runs[result["scenario"], f"{result['iommu']}/{result['mode']}",
                 result["kernel"]].append(result)

    parsed = Page(text)
    tests = []
    tests.append(("the page fetches nothing", not parsed.fetched,
                  f"it wants {parsed.fetched[:3]}"))
    tests.append(("it has timelines", parsed.pictures > 0, "no picture in it"))
    tests.append((f"it has a row for each of {len(runs)} combinations",
                  runs and sorted(key for key, _ in parsed.rows) == sorted(runs),
                  f"{len(parsed.rows)} rows"))
    wrong = []
    for key, cells in parsed.rows:
        mine = runs.get(key, [])
        passed = sum(result["verdict"] == "pass" for result in mine)
        saved = sum(bool(result["vmcore"]) for result in mine)
        wanted = [f"{passed}/{len(mine)}",
                  *(span([result[name] for result in mine]) for name in FIGURES),
                  f"{saved}/{len(mine)}"]
        if cells[3:3 + len(wanted)] != wanted:
            wrong.append(f"{key}: {cells[3:3 + len(wanted)]}, not {wanted}")
    tests.append((f"{len(parsed.rows) * (len(FIGURES) + 2)} figures are those of "
                  f"{results.name}", parsed.rows and not wrong,
                  wrong[0] if wrong else "there is none"))
    for number, (name, good, note) in enumerate(tests, 1):
        print(f"{'ok' if good else 'not ok'} {number} {name}"
              + ("" if good else f": {note}"))
    return not all(good for _, good, _ in tests)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main())
