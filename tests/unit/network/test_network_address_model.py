"""The pool of sandbox addresses beside a plain model: who holds what, what is given next, what the file says of it."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wherry.infrastructure.network.address_pool import AddressesExhausted, AddressPool
from wherry.testing.state_machines import holds

NETWORK = IPv4Network("10.1.0.0/29")  # five for sandboxes: .2 to .6
FREE = [NETWORK[number] for number in range(2, 7)]
OWNERS = st.sampled_from("abcdefg")


class PoolMachine(RuleBasedStateMachine):
    """`held` and `last` are the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory(prefix="wherry-pool-")
        self.journal = Path(self.folder.name) / "sub" / "journal"
        self.pool = AddressPool(NETWORK, self.journal)
        self.held: dict[str, IPv4Address] = {}
        self.last: IPv4Address | None = None
        self.is_told = False  # there is a file

    def next_free(self) -> IPv4Address | None:
        """The first free one after the last that was given."""
        start = FREE.index(self.last) + 1 if self.last else 0
        return next((one for one in [*FREE[start:], *FREE[:start]] if one not in self.held.values()), None)

    @rule(owner=OWNERS)
    def acquire(self, owner: str) -> None:
        if owner in self.held:
            assert self.pool.acquire(owner) == self.held[owner]
            return
        address = self.next_free()
        if address is None:
            with pytest.raises(AddressesExhausted, match="all 5"):
                self.pool.acquire(owner)
            return
        assert self.pool.acquire(owner) == address
        self.held[owner] = self.last = address
        self.is_told = True

    @rule(owner=OWNERS)
    def release(self, owner: str) -> None:
        self.pool.release(owner)
        self.is_told |= owner in self.held
        self.held.pop(owner, None)

    @rule()
    def another_process(self) -> None:
        """It knows what the file says."""
        self.pool = AddressPool(NETWORK, self.journal)
        self.pool.load()
        if not self.is_told:
            self.last = None

    @precondition(lambda self: self.held)
    @rule()
    def forget(self) -> None:
        self.pool.forget()
        self.held.clear()
        self.is_told = False

    @invariant()
    def each_holds_what_the_model_says_and_no_address_has_two(self) -> None:
        assert self.pool.owners() == self.held.keys()
        assert {owner: self.pool.holder(owner) for owner in self.held} == self.held
        assert len(set(self.held.values())) == len(self.held)
        assert self.journal.exists() == self.is_told

    def teardown(self) -> None:
        self.folder.cleanup()


def test_the_pool_of_addresses_does_what_a_plain_model_does_in_whatever_process() -> None:
    holds(PoolMachine, runs=60, steps=50)
