"""One line per check; the first that fails ends the program with what was expected and came."""

import sys
import time

# How many copies a topic gets: one on each of the brokers that the first argument names.
COPIES = len(sys.argv[1].split(","))


def same(name, expected, actual):
    """The two must be equal."""
    if expected != actual:
        sys.exit(f"failed: {name}\nexpected: {expected!r}\nactual:   {actual!r}")
    print(f"ok: {name}", flush=True)


def comes(name, expected, call):
    """The call must give this before long; a change may take a moment to be seen."""
    def look():
        try:
            return call()
        except Exception as raised:  # not there yet
            return raised

    deadline = time.monotonic() + 10
    actual = look()
    while actual != expected and time.monotonic() < deadline:
        time.sleep(0.02)
        actual = look()
    same(name, expected, actual)


def fails(name, expected, call):
    """The call must raise something of which `expected` says True."""
    try:
        came = call()
    except Exception as raised:  # whatever it is, it is shown
        if expected(raised):
            print(f"ok: {name}", flush=True)
            return
        came = raised
    sys.exit(f"failed: {name}\nexpected: another error\nactual:   {came!r}")
