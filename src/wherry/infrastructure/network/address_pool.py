"""Which sandbox holds which address; every change is on disk before it is told.

In:    sandbox ids.
Out:   addresses; `AddressesExhausted` when none is free.
Never: gives an address to a second sandbox before the first released it. The next free address after the last one given
       is taken, so that a released address rests as long as possible (a late packet or cached name finds nobody).
The file is replaced by rename without fsync: after a loss of power no sandbox is left to hold an address.
"""

import json
import os
import threading
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from wherry.kit.errors import Broken, Unavailable

# The network address and the first one, which people take for the gateway, are not given away.
FIRST_OFFSET = 2


class AddressesExhausted(Unavailable):
    """Every address of the range is held."""


class AddressPool:
    """See the module docstring. Safe to call from several threads."""

    def __init__(self, network: IPv4Network, journal: Path) -> None:
        self._network = network
        self._journal = journal
        self._lock = threading.Lock()
        self._held: dict[str, IPv4Address] = {}
        self._last = FIRST_OFFSET - 1

    def acquire(self, owner: str) -> IPv4Address:
        """The address of `owner`, a new one if it holds none."""
        with self._lock:
            if owner not in self._held:
                address = self._next_free()
                self._held[owner] = address
                self._last = int(address) - int(self._network.network_address)
                self._save()
            return self._held[owner]

    def release(self, owner: str) -> None:
        """Idempotent."""
        with self._lock:
            if self._held.pop(owner, None) is not None:
                self._save()

    def holder(self, owner: str) -> IPv4Address | None:
        """The address `owner` holds, if any."""
        return self._held.get(owner)

    def owners(self) -> frozenset[str]:
        """All that hold an address."""
        return frozenset(self._held)

    def forget(self) -> None:
        """Release all and drop the file."""
        with self._lock:
            self._held.clear()
            self._journal.unlink(missing_ok=True)

    def _next_free(self) -> IPv4Address:
        taken = set(self._held.values())
        size = self._network.num_addresses
        usable = max(size - FIRST_OFFSET - 1, 0)  # less the broadcast address
        for step in range(1, usable + 1):
            offset = FIRST_OFFSET + (self._last - FIRST_OFFSET + step) % usable
            address = self._network.network_address + offset
            if address not in taken:
                return address
        raise AddressesExhausted(f"all {usable} sandbox addresses of {self._network} are in use")

    def load(self) -> None:
        """Take over what the file says. Once, at the start."""
        try:
            data = json.loads(self._journal.read_text(encoding="utf-8"))
            held = {owner: IPv4Address(address) for owner, address in data["held"].items()}
            last = int(data["last"])
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            path = str(self._journal)
            raise Broken(f"address journal {path!r} is not readable: {error}; remove it when no sandbox runs") from error
        self._held = {owner: address for owner, address in held.items() if address in self._network}
        self._last = last

    def _save(self) -> None:
        data = {"held": {owner: str(address) for owner, address in self._held.items()}, "last": self._last}
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._journal.with_name(f".{self._journal.name}.tmp")
        temporary.write_text(json.dumps(data), encoding="utf-8")
        os.replace(temporary, self._journal)
