# SPDX-License-Identifier: GPL-2.0
"""A table for the terminal and a picture, from the outcomes of many runs."""

import collections
import math
import os
import shutil

from . import processes, scenarios, variants

# (heading, key of the result object)
FIGURES = (("old hits", "old_hits"), ("faults", "faults"),
           ("crash hits", "crash_hits"), ("marker pages", "marker_pages"),
           ("shared IOVA", "shared_iova_pages"),
           ("shared IDs", "shared_ids"), ("transl. off", "translation_off"),
           ("off at end", "off_at_end"),
           ("window ms", "window_ms"))

KERNEL_TITLES = {"mainline": "unmodified kernel", "framework": "with the framework",
                 "block": "framework, blocking"}


def kernel_title(label):
    """Of a kernel as run.label() has it."""
    arm, after, first = label.partition(" after ")
    return KERNEL_TITLES[arm] + after + first.replace("stock-", "Debian's ")


SERIES = (
    # key of the series, how it is drawn, colour, what the legend says
    ("old", "using 1:2:(0.05) with boxes", "#4a90c8", "DMA into old memory"),
    ("crash", "using 1:2 with impulses lw 3", "#f08c00",
     "hits on crash-kernel memory"),
    ("faults", "using 1:2 with impulses lw 4", "#d01020", "faults"),
    ("provoked", "using 1:2 with impulses lw 4", "#8040b0",
     "fault provoked after the release"),
)

STATE_COLOURS = {"none": "#eeeeee", "inherited": "#b3cde3", "carrying": "#b8e0b0",
                 "released": "#d9d9d9", "blocked": "#f4a6a0"}

BIN = 0.05          # seconds
PANEL_INCHES = (6.4, 2.35)


def grouped(outcomes):
    """[((scenario, IOMMU/mode, kernel), outcomes)], in the order of the table."""
    groups = collections.OrderedDict()
    for outcome in outcomes:
        result = outcome["result"]
        groups.setdefault((outcome["scenario"], f"{result['iommu']}/{result['mode']}",
                           result["kernel"]), []).append(outcome)
    order = list(scenarios.ALL)
    modes = [f"{iommu}/{mode}" for iommu, known in variants.MODES.items()
             for mode in known]
    return sorted(groups.items(), key=lambda item: (
        modes.index(item[0][1]), order.index(item[0][0]),
        item[0][2].partition(" after ")[1:],
        scenarios.ARMS.index(item[0][2].split()[0])))


def span(values):
    """The lowest and the highest of them, as the table shows it."""
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    return "-".join(str(round(value, 2)) for value in
                    sorted({min(values), max(values)}))


def states(outcome):
    """The states that the group of the device went through, in one line."""
    path = []
    for _time, state in outcome.get("series", {}).get("states", ()):
        if not path or path[-1] != state:
            path.append(state)
    return " ".join(path) or "-"


def plain_table(rows, left):
    """Text; the first row is the heading, the last column and left others are words."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]

    def line(row):
        cells = [cell.ljust(width) if i < left or i == len(row) - 1
                 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        return "  ".join(cells).rstrip()

    text = [line(rows[0]), "  ".join("-" * width for width in widths)]
    return "\n".join(text + [line(row) for row in rows[1:]])


def table(outcomes, lost):
    """One row for each scenario and kernel; low-high over the runs."""
    head = ["scenario", "kernel", "iommu", "passed",
            *(heading for heading, _ in FIGURES), "log lines", "vmcore",
            "states of the group"]
    rows = [head]
    for (scenario, variant, kernel), runs in grouped(outcomes):
        results = [run["result"] for run in runs]
        passed = sum(result["verdict"] == "pass" for result in results)
        saved = sum(bool(result["vmcore"]) for result in results)
        paths = sorted({states(run) for run in runs})
        rows.append([
            scenario, kernel, variant,
            f"{passed}/{len(results)}",
            *(span([result[key] for result in results]) for _, key in FIGURES),
            span([run.get("log_lines") for run in runs]),
            f"{saved}/{len(results)}", "; ".join(paths)])
    text = plain_table(rows, left=3).splitlines()
    qemu = sorted({o["result"]["qemu"] for o in outcomes})
    text.append("")
    text.append(f"QEMU {', '.join(qemu)}; {len(outcomes)} runs"
                + (f", {lost} more lost by QEMU or a busy host" if lost else ""))
    reasons = collections.Counter()
    for outcome in outcomes:
        result = outcome["result"]
        if result["verdict"] != "pass" and outcome["kernel"] != "mainline":
            reasons[f"{result['scenario']} on {result['kernel']}, "
                    f"{result['iommu']}/{result['mode']}: "
                    f"{result['reason']}"] += 1
    text += [f"FAIL {reason} ({count} runs)" for reason, count in reasons.items()]
    return "\n".join(text)


def verdict(outcomes):
    """The point of a table in a sentence or two."""
    def bad(of):
        return sum(o["result"]["verdict"] != "pass" for o in of)

    sentences = []
    for arm, title in (("mainline", "Unmodified kernel"), ("framework", "Framework")):
        mine = [o for o in outcomes if o["kernel"] == arm]
        if mine:
            sentences.append(f"{title}: {bad(mine) or 'none'} of {len(mine)} crashes "
                             f"went wrong.")
    return " ".join(sentences)


def corruption_table(outcomes, lost):
    """One row for each case of corrupt.py; the unmodified kernel's are controls."""
    head = ["case", "iommu/mode", "kernel", "verdict", "crash hits before", "after",
            "faults", "healthy faults", "transl. off", "vmcore", "state", "log"]
    rows = [head]
    for outcome in outcomes:
        result, seen = outcome["result"], outcome.get("findings") or {}
        states = seen.get("states", {})
        affected = seen.get("affected", ())
        rows.append([str(cell) if cell is not None else "-" for cell in (
            result["scenario"].removeprefix("corrupt-"),
            f"{result['iommu']}/{result['mode']}", result["kernel"], result["verdict"],
            seen.get("hits_before"), seen.get("hits_after"), result["faults"],
            seen.get("healthy_faults"), result["translation_off"],
            "saved" if result["vmcore"] else "lost",
            " ".join(dict.fromkeys(states[name] for name in affected)),
            _shortened(seen.get("log", "")))])
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    text = ["  ".join(cell.ljust(width) if i in (0, 1, 2, 3, 9, 10, 11) else
                      cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
            for row in rows]
    text.insert(1, "  ".join("-" * width for width in widths))
    text.append("")
    text.append("QEMU " + ", ".join(sorted({o["result"]["qemu"] for o in outcomes}))
                + f"; {len(outcomes)} runs"
                + (f", {lost} more lost by QEMU or a busy host" if lost else ""))
    return "\n".join(text)


def _shortened(text, length=100):
    return text if len(text) <= length else text[:length - 3] + "..."


# -- the picture -----------------------------------------------------------------

def _representative(runs):
    """The worst run: the one a reader should see."""
    complete = [run for run in runs if run.get("series")]
    return max(complete, default=None, key=lambda run: (
        run["result"]["faults"], run["result"]["marker_pages"],
        run["result"]["crash_hits"]))


def _binned(times):
    """Of times, or of pairs (time, how many)."""
    counts = collections.Counter()
    for time in times:
        time, number = time if isinstance(time, list) else (time, 1)
        counts[int(time // BIN)] += number
    return [((number + 0.5) * BIN, count)
            for number, count in sorted(counts.items())]


def _block(name, points):
    lines = "\n".join(f"{x:.4f} {y}" for x, y in points)
    return f"${name} << EOD\n{lines}\nEOD\n"


def _quoted(text):
    return "'" + text.replace("'", "''") + "'"


def picture(outcomes, kernels, stem, chosen=None, suffixes=("svg", "png")):
    """Writes stem.svg and stem.png; returns what was written.

    chosen: the variants to show; the default mode of each IOMMU if None, since a
    picture of everything would show nothing.
    """
    if not shutil.which("gnuplot"):
        print("no picture: install the package gnuplot-nox")
        return []
    runs = dict(grouped(outcomes))
    if chosen is None:
        chosen = map(variants.default, variants.MODES)
    shown = [(name, str(variant)) for variant in chosen
             for name, scenario in scenarios.ALL.items()
             if scenario.needs_legacy_dma and
             any((name, str(variant), kernel) in runs for kernel in kernels)]
    if not shown:
        if "png" in suffixes:
            print("no picture: it shows the default modes, and none was run")
        return []
    if len(kernels) > 1:
        panels = [[(*key, kernel) for kernel in kernels] for key in shown]
    else:
        flat = [(*key, kernels[0]) for key in shown]
        panels = [flat[i:i + 2] for i in range(0, len(flat), 2)]

    columns = max(len(row) for row in panels)
    width = PANEL_INCHES[0] * columns
    top, bottom = 0.55, 0.95            # inches for the title and the legend
    height = PANEL_INCHES[1] * len(panels) + top + bottom

    body = []
    for row, names in enumerate(panels):
        for column, key in enumerate(names):
            chosen = _representative(runs.get(key, ()))
            low = 1 - (top + PANEL_INCHES[1] * (row + 1) - 0.42) / height
            high = 1 - (top + PANEL_INCHES[1] * row + 0.34) / height
            left = (PANEL_INCHES[0] * column + 0.85) / width
            right = (PANEL_INCHES[0] * (column + 1) - 0.2) / width
            body.append(f"set lmargin at screen {left:.4f}\n"
                        f"set rmargin at screen {right:.4f}\n"
                        f"set bmargin at screen {low:.4f}\n"
                        f"set tmargin at screen {high:.4f}\n")
            body.append(_panel(key, chosen, len(runs.get(key, ())),
                               f"p{row}_{column}"))
    body.append(_legend(width, height, bottom))

    written = []
    for suffix, terminal in (
            ("svg", f"svg size {width * 100:.0f},{height * 100:.0f} "
                    f"font 'DejaVu Sans,12' background '#ffffff'"),
            ("png", f"pngcairo size {width * 100:.0f},{height * 100:.0f} "
                    f"font 'DejaVu Sans,10' background '#ffffff'")):
        if suffix not in suffixes:
            continue
        target = stem.with_suffix(f".{suffix}")
        partial = target.with_name(f".{target.name}.partial")
        script = (
            f"set terminal {terminal}\nset output {_quoted(str(partial))}\n"
            f"set multiplot\n"
            f"set label 1 'DMA of devices left running by a kernel that crashed' "
            f"at screen 0.5,{1 - 0.25 / height:.4f} center "
            f"font ',14'\n" + "".join(body) + "unset multiplot\n")
        source = stem.with_suffix(".gnuplot")
        source.write_text(script, encoding="utf-8")
        status, output = processes.run(["gnuplot", str(source)], 120)
        source.unlink()
        if status != 0:
            print("no picture: gnuplot says " +
                  output.decode("utf-8", "replace").strip())
            partial.unlink(missing_ok=True)
            continue
        os.replace(partial, target)
        written.append(target)
    return written


_AXES = """unset key
set object 1 rectangle from graph 0,0 to graph 1,1 behind fillstyle empty
unset object 1
set logscale y
set yrange [0.5:60000]
set ytics ('1' 1, '10' 10, '100' 100, '1000' 1000) nomirror scale 0.5
set xtics nomirror scale 0.5 autofreq
set border 3
set grid ytics lc rgb '#e8e8e8' lt 1
set ylabel 'accesses per 50 ms' font ',9' offset 0.6,-0.3
set xlabel 'seconds since the panic' offset 0,0.6
set style fill solid noborder
"""


def _panel(key, outcome, count, name):
    scenario, variant, kernel = key
    title = f"{scenario}, {variant}, {kernel_title(kernel)}"
    if outcome is None:
        why = ("has no meaning here"
               if kernel not in scenarios.ALL[scenario].arms
               else "no run came to its end")
        return (_AXES + f"set title {_quoted(title)} offset 0,-0.5\n"
                "set xrange [0:1]\nunset border\nunset xtics\nunset ytics\n"
                "unset xlabel\nunset ylabel\n"
                f"set label 2 {_quoted(why)} at graph 0.5,0.5 center "
                "tc rgb '#808080'\nplot NaN notitle\nunset label 2\nreset\n"
                "unset label 1\n")
    series, result = outcome["series"], outcome["result"]
    damage = (f"{result['marker_pages']} pages overwritten"
              if scenarios.ALL[scenario].writes_markers else
              f"{result['crash_hits']} hits on the crash kernel")
    title += f": {result['faults']} faults, {damage}" + (f", worst of {count} runs" if count > 1 else "")
    end = math.ceil(series["end"] * 2) / 2
    text = [_AXES, f"set title {_quoted(title)} offset 0,-0.5\n",
            f"set xrange [0:{end}]\n"]
    text += [_block(f"{name}_{which}", _binned(series[which]) or [(-1, 1)])
             for which, *_ in SERIES]
    text.append(_bands(series, kernel, end))
    text.append(_moments(series))
    text.append("plot " + ", ".join(
        f"${name}_{which} {style} lc rgb '{colour}'"
        for which, style, colour, _title in SERIES)
        + "\nreset\nunset label 1\n")
    return "".join(text)


def _bands(series, kernel, end):
    """A strip on top of the panel: what state the device's group is in."""
    if kernel == "mainline":
        return ("set object 10 rectangle from graph 0,0.88 to graph 1,1 "
                "fillcolor rgb '#f7f7f7' fillstyle solid noborder\n"
                "set label 10 'no state: old tables until the first mapping' "
                "at graph 0.5,0.94 center font ',9' tc rgb '#808080'\n")
    path = series["states"]
    text = []
    for number, (start, state) in enumerate(path, 10):
        until = path[number - 9][0] if number - 9 < len(path) else end
        start = max(0, start)
        text.append(
            f"set object {number} rectangle from first {start}, graph 0.88 to "
            f"first {until}, graph 1 fillcolor rgb '{STATE_COLOURS[state]}' "
            f"fillstyle solid noborder\n")
        if until - start > end * 0.11:
            text.append(f"set label {number} '{state}' at first "
                        f"{(start + until) / 2:.3f}, graph 0.94 center "
                        f"font ',9'\n")
    if path:
        # before anything can be read, hardware still uses the old tables
        text.append(
            f"set object 9 rectangle from first 0, graph 0.88 to first "
            f"{max(0, path[0][0])}, graph 1 fillcolor rgb '#dfeaf4' "
            f"fillstyle solid noborder\n"
            f"set label 9 'boot' at first {max(0, path[0][0]) / 2:.3f}, "
            f"graph 0.94 center font ',9' tc rgb '#606060'\n")
    return "".join(text)


def _moments(series):
    """Dotted lines: the crash kernel starts, the driver takes the device."""
    moments = [(series["boot"], "crash kernel")]
    drivers = [when for when, text in series["events"]
               if text.startswith(("loaded", "bound"))]
    if drivers:
        moments.append((drivers[-1], "driver"))
    text = []
    for number, (when, what) in enumerate(moments, 30):
        text.append(
            f"set arrow {number} from first {when}, graph 0 to first {when}, "
            f"graph 0.87 nohead dt 3 lc rgb '#606060'\n"
            f"set label {number} {_quoted(what)} at first {when}, graph 0.82 "
            f"offset 0.4,0 font ',9' tc rgb '#404040'\n")
    return "".join(text)


def _legend(width, height, bottom):
    """One legend for all panels: a row of series and a row of states."""
    rows = (("accesses", [(colour, title) for _, _, colour, title in SERIES]),
            ("state of the IOMMU group",
             [(colour, state) for state, colour in STATE_COLOURS.items()]))
    text = []
    number = 100
    for row, (heading, entries) in enumerate(rows):
        y = bottom - 0.45 - 0.27 * row
        x = 0.55
        text.append(f"set label {number} '{heading}:' at screen "
                    f"{x / width:.4f},{y / height:.4f} left font ',10'\n")
        x += 0.1 + 0.085 * len(heading) + 0.15
        for colour, title in entries:
            number += 1
            text.append(
                f"set object {number} rectangle from screen {x / width:.4f},"
                f"{(y - 0.06) / height:.4f} to screen {(x + 0.28) / width:.4f},"
                f"{(y + 0.06) / height:.4f} fillcolor rgb '{colour}' "
                f"fillstyle solid border rgb '#a0a0a0'\n"
                f"set label {number} '{title}' at screen "
                f"{(x + 0.36) / width:.4f},{y / height:.4f} left font ',10'\n")
            x += 0.36 + 0.085 * len(title) + 0.3
        number += 1
    return ("unset border\nunset xtics\nunset ytics\nset xrange [0:1]\n"
            "set yrange [0:1]\n" + "".join(text) + "plot NaN notitle\n")
