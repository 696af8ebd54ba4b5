# SPDX-License-Identifier: GPL-2.0
"""One HTML page from the outcomes of many runs, that needs nothing beside it."""

import base64
import html
import json
import os

from . import report, variants

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 100em;
       padding: 0 1em; color: #1c2330; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25em .6em; border-bottom: 1px solid #dde2ea; text-align: right;
         white-space: nowrap; }
th { position: sticky; top: 0; background: #f3f5f9; }
th:nth-child(-n+3), td:nth-child(-n+3), th:last-child, td:last-child
    { text-align: left; }
td:last-child { white-space: normal; min-width: 16em; }
tr.mainline td { color: #555; }
tr.bad td.passed { background: #f6c4bd; } tr.good td.passed { background: #cdebc6; }
td.damage { background: #fbe3c8; }
.scroll { overflow-x: auto; } details { margin: .6em 0; }
summary { cursor: pointer; font-weight: 600; } img { max-width: 100%; }
dl { display: grid; grid-template-columns: max-content auto; gap: .1em 1.2em; }
dt { font-weight: 600; } dd { margin: 0; }
.verdict { font-size: 1.15em; }
"""

# What a figure above zero means damage for, on any arm.
DAMAGE = ("faults", "crash_hits", "marker_pages", "shared_iova_pages",
          "shared_ids", "translation_off", "off_at_end")

GLOSSARY = (
    ("old hits", "accesses by devices that the crashed kernel had started, to its own "
     "memory: the DMA that must go on"),
    ("faults", "accesses that the IOMMU refused"),
    ("crash hits", "such accesses that reached memory of the crash kernel"),
    ("marker pages", "pages of the crash kernel that hold data which only the crashed "
     "kernel had asked for"),
    ("shared IOVA", "pages of I/O virtual address space in use by both kernels"),
    ("shared IDs", "domain IDs under which both kernels have translations cached"),
    ("transl. off", "times that translation was switched off"),
    ("off at end", "the same, by the crash kernel's own reboot or power-off"),
    ("window ms", "milliseconds between the first mapping of the new driver and the "
     "reset of its device"),
)


def write(path, title, session, outcomes, kernels, skipped, lost):
    """Write the page. kernels: the arms, in the order of the pictures' columns."""
    ours = [o for o in outcomes if o["kernel"] != "mainline"]
    failed = sum(o["result"]["verdict"] != "pass" for o in ours)
    qemu = ", ".join(sorted({o["result"]["qemu"] for o in outcomes}))
    parts = [
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width'>\n"
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style></head><body>\n"
        f"<h1>{html.escape(title)}</h1>\n",
        f"<p class='verdict'>{len(ours) - failed} of {len(ours)} runs of the framework "
        f"are as they should be; {len(outcomes) - len(ours)} runs of the unmodified "
        f"kernel beside them.</p>\n",
        f"<p>QEMU {html.escape(qemu)}. Session <code>{html.escape(session)}</code> in "
        f"<code>results.jsonl</code>: one line for each run"
        + (f"; {lost} more lost by QEMU or a busy host" if lost else "")
        + ". Where runs differ, a cell shows the lowest and the highest.</p>\n",
        _table(outcomes), "<h2>What the columns mean</h2>\n<dl>"]
    parts += [f"<dt>{term}</dt><dd>{text}</dd>" for term, text in GLOSSARY]
    parts.append("</dl>\n<h2>Timelines</h2>\n<p>The worst run of each. From the panic "
                 "to the end of the dump.</p>\n")
    parts += _timelines(path, outcomes, kernels)
    if skipped:
        parts.append("<h2>Not run</h2>\n<ul>")
        parts += [f"<li>{html.escape(what)}: {html.escape(why)}</li>"
                  for what, why in skipped.items()]
        parts.append("</ul>\n")
    parts.append(_failures(outcomes))
    results = json.dumps([o["result"] for o in outcomes]).replace("<", "\\u003c")
    parts.append(f"<script type='application/json' id='results'>{results}</script>\n"
                 "</body></html>\n")
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("".join(parts), encoding="utf-8")
    os.replace(partial, path)
    return path


def _table(outcomes):
    head = ["scenario", "kernel", "IOMMU/mode", "passed",
            *(heading for heading, _ in report.FIGURES), "vmcore",
            "states of the group"]
    rows = ["<div class='scroll'><table id='runs'><thead><tr>",
            *(f"<th>{html.escape(cell)}</th>" for cell in head),
            "</tr></thead><tbody>\n"]
    for (scenario, variant, kernel), runs in report.grouped(outcomes):
        results = [run["result"] for run in runs]
        passed = sum(result["verdict"] == "pass" for result in results)
        colour = "good" if passed == len(results) else (
            "" if kernel.startswith("mainline") else "bad")
        cells = [f"<td>{html.escape(text)}</td>"
                 for text in (scenario, report.kernel_title(kernel), variant)]
        cells.append(f"<td class='passed'>{passed}/{len(results)}</td>")
        for _heading, key in report.FIGURES:
            values = [result[key] for result in results]
            damage = key in DAMAGE and any(values)
            cells.append(f"<td{' class=damage' if damage else ''}>"
                         f"{report.span(values)}</td>")
        saved = sum(bool(result["vmcore"]) for result in results)
        paths = "; ".join(sorted({report.states(run) for run in runs}))
        cells += [f"<td>{saved}/{len(results)}</td>", f"<td>{html.escape(paths)}</td>"]
        rows.append(f"<tr class='{kernel.split()[0]} {colour}' data-scenario='{scenario}' "
                    f"data-kernel='{kernel}' data-variant='{html.escape(variant)}'>"
                    + "".join(cells) + "</tr>\n")
    return "".join(rows) + "</tbody></table></div>\n"


def _timelines(path, outcomes, kernels):
    shown = {f"{o['result']['iommu']}/{o['result']['mode']}" for o in outcomes}
    for iommu, modes in variants.MODES.items():
        for mode in modes:
            variant = variants.Variant(iommu, mode)
            if str(variant) not in shown:
                continue
            mine = [o for o in outcomes
                    if f"{o['result']['iommu']}/{o['result']['mode']}" == str(variant)]
            stem = path.with_name(f".{path.stem}-{iommu}-{len(mode)}")
            for picture in report.picture(mine, kernels, stem, [variant], ("svg",)):
                data = base64.b64encode(picture.read_bytes()).decode("ascii")
                picture.unlink()
                yield (f"<details{' open' if variant.is_default else ''}><summary>"
                       f"{html.escape(str(variant))}</summary><img alt='timelines of "
                       f"{html.escape(str(variant))}' "
                       f"src='data:image/svg+xml;base64,{data}'></details>\n")


def _failures(outcomes):
    lines = [f"<li>{html.escape(o['result']['scenario'])} on {o['result']['kernel']}, "
             f"{html.escape(o['result']['iommu'] + '/' + o['result']['mode'])}: "
             f"{html.escape(o['result']['reason'])}</li>"
             for o in outcomes
             if o["result"]["verdict"] != "pass" and o["kernel"] != "mainline"]
    return f"<h2>Failures</h2>\n<ul>{''.join(lines)}</ul>\n" if lines else ""
