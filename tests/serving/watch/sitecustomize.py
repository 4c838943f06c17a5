"""Imported by every Python process of a service under test: writes down what no serving process may do.

That is to unpickle, to call or look up another machine, and to listen for one. Python's own sockets are seen, not those
that a database's driver opens in C: it is told where to go by the operator alone.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
import sys
from typing import Any

OUT = os.environ.get("CALLSHEET_WATCH")
#: A module that a test has each process import besides.
ALSO = os.environ.get("CALLSHEET_ALSO")


def _elsewhere(host: object) -> bool:
    """Whether it is another machine, or all of the world's sides of this one."""
    if host is None or host in ("localhost", b"localhost"):
        return False
    try:
        return not ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host)).is_loopback
    except ValueError:
        return True


def _forbidden(event: str, args: tuple[Any, ...]) -> bool:
    if event == "pickle.find_class":
        return True
    if event in ("socket.connect", "socket.bind", "socket.sendto"):
        return isinstance(args[1], tuple) and _elsewhere(args[1][0])
    return event in ("socket.getaddrinfo", "socket.gethostbyname") and _elsewhere(args[0])


def _write(line: str) -> None:
    # At once and whole, though processes share the file and any of them may be killed.
    file = os.open(str(OUT), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{os.getpid()} {line}\n".encode())
    finally:
        os.close(file)


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if _forbidden(event, args):
        frame, places = sys._getframe(1), []
        while frame is not None and len(places) < 6:
            places.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
            frame = frame.f_back  # type: ignore[assignment]
        _write(f"{event} {args[-2:]!r} at {' < '.join(places)}")


if OUT:
    _write("watched " + " ".join(sys.orig_argv[1:6]))
    sys.addaudithook(_watch)
if ALSO:
    importlib.import_module(ALSO)
