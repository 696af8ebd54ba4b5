# SPDX-License-Identifier: GPL-2.0
"""What is needed to build for, and run in, machines that are not the host's kind."""

import os
import shutil

from .. import build, machine

BUSYBOX_SECONDS = 600


def compiler(tools, packages):
    """Of static programs for the guest. packages: what has it, in words."""
    if not shutil.which(f"{tools}gcc"):
        raise machine.Broken(f"no {tools}gcc: install the packages {packages}")
    return f"{tools}gcc"


def busybox(out, architecture, what, variable):
    """A static one: Debian's for an architecture, in a private folder.

    variable: of the environment, that may have another one.
    """
    given = os.environ.get(variable)
    if given:
        return given
    why = build.unavailable(("fetch_busybox.sh", out, architecture), BUSYBOX_SECONDS,
                            f"busybox for {what}")
    if why:
        raise machine.Unavailable(f"{why}; or set {variable}=")
    return str(out / f"busybox-{architecture}/busybox")
