# SPDX-License-Identifier: GPL-2.0
"""Child processes that never outlive the rig.

Each child leads a process group of its own and is registered here until it has
been waited for. What is left is killed when the rig ends, whichever way: return,
exception, Ctrl-C, SIGTERM or SIGHUP. (On SIGKILL the kernel does it, through
setpriv's parent death signal, where that tool is installed.)
"""

import atexit
import os
import shutil
import signal
import subprocess
import threading

_children = set()
_lock = threading.Lock()
stopping = threading.Event()


class Stopped(Exception):
    """The rig was told to end; no new child may be started."""


# A rig that is killed before setpriv has done its work has nobody to tell: then the
# command is not begun.
_IF_PARENT_LIVES = 'test "$PPID" = "$0" && exec "$@"'


def start(command, **options):
    """subprocess.Popen, registered, in a process group of its own."""
    if shutil.which("setpriv"):
        command = ["setpriv", "--pdeathsig", "KILL", "--",
                   "sh", "-c", _IF_PARENT_LIVES, str(os.getpid()), *command]
    with _lock:
        if stopping.is_set():
            raise Stopped()
        child = subprocess.Popen(command, start_new_session=True, **options)
        _children.add(child)
    return child


def end(child):
    """Kill what still runs of the child's process group and collect its status."""
    # not yet waited for: the number is still its own
    if child.returncode is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    status = child.wait()
    with _lock:
        _children.discard(child)
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream:
            try:
                stream.close()
            except OSError:
                pass
    return status


def run(command, timeout, **options):
    """Run a command to its end; returns (status, output with errors)."""
    options.setdefault("stdin", subprocess.DEVNULL)
    child = start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    try:
        output = child.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        return None, b"no end within %d seconds" % timeout
    finally:
        end(child)
    return child.returncode, output


@atexit.register
def end_all():
    stopping.set()
    with _lock:
        left = list(_children)
    for child in left:
        end(child)


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _stop(number, _frame):
    # an impatient second one must not interrupt the tidying up
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    stopping.set()
    raise SystemExit(128 + number)


def install_signal_handlers():
    for number in SIGNALS:
        signal.signal(number, _stop)
