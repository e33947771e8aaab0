"""Loopback ports."""

from __future__ import annotations

import errno
import socket

from data.workspace import UserError

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports of this machine that nothing listens on, all different."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return tuple(each.getsockname()[1] for each in sockets)
    finally:
        for each in sockets:
            each.close()


def require_free(host: str, port: int) -> None:
    """Make sure that a server can listen there.

    Raises:
        UserError: something listens already, or the address is not one of this machine.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise UserError(
                    f"port {port} of {host} is in use; stop what listens there or choose --port"
                ) from None
            raise UserError(
                f"cannot listen on {host}:{port} ({error.strerror}); choose another address"
            ) from None
