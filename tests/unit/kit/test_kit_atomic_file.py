"""A file is the old bytes or the new, whoever writes it at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wherry.kit import atomic_file


def test_threads_that_write_one_file_at_once_all_succeed(tmp_path: Path) -> None:
    """They shared one temporary name, and the slower one found it gone."""
    path = tmp_path / "file"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: atomic_file.write(path, str(n).encode() * 1000), range(200)))
    assert len(set(path.read_bytes().decode())) <= 3
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
