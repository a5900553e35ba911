"""How far a pod's life on this node has come. Pure.

In:    the stage now, the stage that was reached. Out: the stage from here on.
Never: goes back. Whether the API still has the pod is no stage: it may let go of it at any time (`PodContext.is_gone`).
"""

from enum import IntEnum


class Stage(IntEnum):
    """In the order in which they are passed. DELETED may be left out: the API may drop the pod without being asked."""

    SEEN = 0  # the API has it here; nothing of it was begun
    JUDGED = 1  # it is known whether this node takes it
    STOPPED = 2  # its containers, for good
    ENDED = 3  # and its volumes down
    DELETED = 4  # asked of the API; finalizers may still hold the object
    REMOVED = 5  # and its last file

    def moved_to(self, reached: "Stage") -> "Stage":
        """The later of the two: an answer may come late, an end that was cut short is begun again.

        No stage is left out on the way; who does so has a bug and meets an AssertionError."""
        if reached <= self:
            return self
        is_next = reached == self + 1 or (self, reached) == (Stage.ENDED, Stage.REMOVED)
        assert is_next, f"a pod's stage went from {self.name} to {reached.name}"
        return reached
