"""Machines of Hypothesis whose rules await: a plain model beside the real thing, both told the same, compared after every step.

In:    a `LoopMachine` with rules; how many runs of how many steps.
Out:   `holds` returns, or raises with a sequence of rules after which the two differ.
How:   the runs are the same each time: nothing is remembered, no dice but Hypothesis'. A shorter sequence is not sought: that
       would take minutes of a test that fails; who mends it adds `Phase.shrink`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

T = TypeVar("T")


class LoopMachine(RuleBasedStateMachine):
    """`run` awaits on a loop that is the machine's own, from its beginning to `teardown`."""

    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner(loop_factory=type(self).loop_factory)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns or raises. Tasks it leaves go on in the next call."""
        return self._runner.run(work)

    def teardown(self) -> None:
        """Cancel what still runs, and close the loop."""
        self._runner.close()


def holds(machine: type[RuleBasedStateMachine], *, runs: int, steps: int) -> None:
    """Raise where the machine fails."""
    run_state_machine_as_test(machine, settings=settings(
        max_examples=runs, stateful_step_count=steps, derandomize=True, deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck)))  # fmt: skip
