"""One cluster for all attacks on a whole one: what one leaves behind, the next one finds."""

from collections.abc import Iterator

import pytest
from hostile_cluster import Victim, victim


@pytest.fixture(scope="session")
def attacked() -> Iterator[Victim]:
    """The cluster; ended, and looked after for what it left, at the end of the session."""
    with victim() as made:
        yield made
