"""The door to nftables: one transaction per call, by `nft -f -`.

In:    ruleset text as nft(8) reads it.
Out:   loaded whole or not at all; `LoadFailed` with nft's own message.
Never: keeps state. About 4 ms a call, of which most is the start of nft.
"""

from collections.abc import Iterable

from wherry.kit import process
from wherry.kit.errors import Unavailable, WherryError

LOAD_TIMEOUT_S = 60.0
INSTALL = "apt-get install -y nftables"


class LoadFailed(WherryError):
    """nft refused the text; nothing of it is loaded."""


async def load(ruleset: str) -> None:
    """Carry out `ruleset` as one transaction. Nothing happens for empty text."""
    if ruleset.strip():
        await _nft("-f", "-", stdin=ruleset)


async def check(ruleset: str) -> None:
    """Raise `LoadFailed` if the kernel would refuse `ruleset`; load nothing."""
    await _nft("-c", "-f", "-", stdin=ruleset)


async def delete_table(name: str, family: str = "ip") -> None:
    """Idempotent: declared first, so that deleting what is not there is no error."""
    await load(f"table {family} {name} {{}}\ndelete table {family} {name}\n")


async def list_table(name: str, family: str = "ip", *, with_handles: bool = False) -> str:
    """The table as nft prints it, "" when it is not there."""
    return await _listed("table", family, name, with_handles=with_handles)


async def list_chains(family: str = "ip") -> str:
    """The chains of all tables of a family, without their rules."""
    return await _listed("chains", family)


async def list_chain(table: str, name: str, family: str = "ip") -> str:
    """One chain as nft prints it, with the handles of its rules; "" when it is not there."""
    return await _listed("chain", family, table, name, with_handles=True)


async def _listed(*what: str, with_handles: bool = False) -> str:
    try:
        return await _nft(*(("-a",) if with_handles else ()), "list", *what)
    except LoadFailed as error:
        if "No such file or directory" in str(error):
            return ""
        raise


def add_elements(table: str, name: str, elements: Iterable[str], family: str = "ip") -> str:
    """Text that adds `elements` ("key" or "key : value") to a set or map; "" for none."""
    joined = ", ".join(elements)
    return f"add element {family} {table} {name} {{ {joined} }}\n" if joined else ""


def delete_elements(table: str, name: str, keys: Iterable[str], family: str = "ip") -> str:
    """Text that removes `keys`, all of which must be there; "" for none."""
    joined = ", ".join(keys)
    return f"delete element {family} {table} {name} {{ {joined} }}\n" if joined else ""


async def _nft(*arguments: str, stdin: str = "") -> str:
    try:
        out = await process.run(("nft", *arguments), stdin=stdin.encode(), timeout_s=LOAD_TIMEOUT_S)
    except process.CommandFailed as error:
        raise LoadFailed(f"nft refused the rules: {error.stderr}") from error
    except FileNotFoundError as error:
        raise Unavailable(f"nft is not installed; run: {INSTALL}") from error
    except TimeoutError as error:
        raise LoadFailed(f"nft did not answer within {LOAD_TIMEOUT_S:g} s") from error
    return out.decode()
