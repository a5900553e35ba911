"""Live beside a firewall that drops forwarded packets by policy (Docker sets it): accept those of our links.

In:    what nft says of the chain `ip filter FORWARD`.
Out:   two rules at its top, marked by a comment; taken away again by handle. Nothing where there is no such chain.
An accept in our own table would not help: a packet must pass every base chain of the hook.
"""

import re

from wherry.infrastructure.network import nft
from wherry.infrastructure.network.settings import NetworkSettings

TABLE, CHAIN = "filter", "FORWARD"


async def open_for(settings: NetworkSettings) -> None:
    """Idempotent; does nothing when the chain does not exist or does not drop."""
    listed = await nft.list_chain(TABLE, CHAIN)
    if "policy drop" not in listed or handles(listed, settings.table):
        return
    links = f'"{settings.link_prefix}*"'
    await nft.load(
        "".join(
            f'insert rule ip {TABLE} {CHAIN} {way} {links} counter accept comment "{settings.table}"\n'
            for way in ("oifname", "iifname")
        )
    )


async def close_for(settings: NetworkSettings) -> None:
    """Take the rules away. Idempotent."""
    found = handles(await nft.list_chain(TABLE, CHAIN), settings.table)
    await nft.load("".join(f"delete rule ip {TABLE} {CHAIN} handle {handle}\n" for handle in found))


def handles(listed: str, mark: str) -> list[int]:
    """The handles of the rules that carry our comment, from `nft -a list chain`."""
    return [int(found[1]) for found in re.finditer(rf'comment "{re.escape(mark)}" # handle (\d+)', listed)]
