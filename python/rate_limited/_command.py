"""The command `rate-limited`, as `pip install` brings it: the same as the binary of the crate."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Runs the command with the arguments of this process, and gives its exit code."""
    # The command has handlers of its own. Python's would hear Ctrl-C as well, and raise when the command has
    # ended in order. What was ignored from the start, as in the background of a script, stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from rate_limited._native import cli_main

    return cli_main(["rate-limited", *sys.argv[1:]])
