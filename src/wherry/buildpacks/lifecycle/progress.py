"""What a build tells while it runs: phases, lines, and the buildpacks' own output."""

from typing import Protocol


class Progress(Protocol):
    """Calls come in order, from one thread."""

    def phase(self, name: str) -> None:
        """A phase begins, such as ANALYZING."""

    def line(self, text: str) -> None:
        """One line of the lifecycle's."""

    def output(self, data: bytes) -> None:
        """Bytes a buildpack wrote, as they came."""


class Silent:
    """Tells nobody."""

    def phase(self, name: str) -> None:
        pass

    def line(self, text: str) -> None:
        pass

    def output(self, data: bytes) -> None:
        pass
