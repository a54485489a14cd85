"""Where a process listens: told by /proc alone, so that no stand-in is believed who says that it is on loopback."""

import contextlib
import ipaddress
import sys
from pathlib import Path
from typing import NamedTuple

_LISTEN = "0A"
"""TCP_LISTEN (Linux, include/net/tcp_states.h)."""
_LOCAL, _STATE, _INODE = 1, 3, 9
"""Columns of /proc/<pid>/net/tcp and tcp6, proc_pid_net(5)."""
_WORD = 4


class Address(NamedTuple):
    """An address on which a process accepts connections."""

    host: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int

    def on_loopback(self) -> bool:
        """Say whether this machine alone can reach it."""
        mapped = self.host.ipv4_mapped if isinstance(self.host, ipaddress.IPv6Address) else None
        return (mapped or self.host).is_loopback


def listening(pid: int) -> list[Address] | None:
    """Give the addresses on which a process listens; None where the operating system does not tell."""
    if sys.platform != "linux":
        return None
    inodes = set[str]()
    try:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed while we look
                inodes.add(str(path.readlink()).removeprefix("socket:[").removesuffix("]"))
        tables = [Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii") for name in ("tcp", "tcp6")]
    except OSError:
        return []
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return [address_of(row[_LOCAL]) for row in rows if row[_STATE] == _LISTEN and row[_INODE] in inodes]


def address_of(written: str) -> Address:
    """Read an address as /proc writes it: words of 32 bits in this machine's order, e.g. `0100007F:1F90`."""
    host, _, port = written.partition(":")
    words = bytes.fromhex(host)
    order = slice(None, None, -1 if sys.byteorder == "little" else 1)
    packed = b"".join(words[start : start + _WORD][order] for start in range(0, len(words), _WORD))
    return Address(ipaddress.ip_address(packed), int(port, 16))
