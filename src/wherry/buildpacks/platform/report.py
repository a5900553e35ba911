"""Progress as pack shows it: a header for each phase, and everything below it with the phase's name in front."""

from collections.abc import Callable

NAMES = {
    "ANALYZING": "analyzer", "DETECTING": "detector", "RESTORING": "restorer", "BUILDING": "builder", "EXPORTING": "exporter",
}  # fmt: skip


class TextProgress:
    """Writes whole lines to `write`, which adds the line's end."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._name = ""
        self._pending = b""

    def phase(self, name: str) -> None:
        self.flush()
        self._name = NAMES.get(name, "")
        self._write(f"===> {name}")

    def line(self, text: str) -> None:
        self.flush()
        self._write(f"[{self._name}] {text}" if self._name else text)

    def output(self, data: bytes) -> None:
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._write_bytes(line)

    def flush(self) -> None:
        """Write a last line that had no end."""
        if self._pending:
            self._write_bytes(self._pending)
            self._pending = b""

    def _write_bytes(self, line: bytes) -> None:
        # What a terminal would have shown after a carriage return.
        text = line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
        self._write(f"[{self._name}] {text}" if self._name else text)
