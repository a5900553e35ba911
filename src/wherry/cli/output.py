"""What the commands write: lines for people on stdout, progress on stderr, JSON with `-o json`.

The one place that prints. Colour and the moving progress line only on a terminal.
"""

import json
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any


def line(text: str = "") -> None:
    """One line of result."""
    print(text, flush=True)


def note(text: str) -> None:
    """One line beside the result: progress, warnings."""
    print(text, file=sys.stderr, flush=True)


def data(value: Any) -> None:
    """The result as JSON."""
    print(json.dumps(value, indent=2, default=str), flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as needed, three spaces apart, like kubectl."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        line("   ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


class Step:
    """A step with its time: `building users ...` while it runs on a terminal, one line with seconds when done."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._began_at = 0.0
        self._shown = ""

    def __enter__(self) -> "Step":
        self._began_at = time.monotonic()
        self._show("")
        return self

    def progress(self, text: str) -> None:
        """What the step is at just now; shown on a terminal only."""
        self._show(text)

    def _show(self, detail: str) -> None:
        if not sys.stderr.isatty():
            return
        shown = f"  {self.text} {detail}"[:110]
        print("\r" + shown.ljust(len(self._shown)), end="", file=sys.stderr, flush=True)
        self._shown = shown

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        mark = "ok" if error is None else "failed"
        if sys.stderr.isatty():
            print("\r" + " " * len(self._shown) + "\r", end="", file=sys.stderr)
        print(f"{time.monotonic() - self._began_at:7.2f} s  {self.text}: {mark}", file=sys.stderr, flush=True)
