"""How much of each campaign runs: a quick share with every test run, the whole with `make hostile`.

`WHERRY_HOSTILE=whole` takes the whole counts, `WHERRY_HOSTILE=tenth` a tenth of them; anything else the quick ones.
"""

import os

HOW_MUCH = os.environ.get("WHERRY_HOSTILE", "quick")
LIMIT_S = {"quick": 180, "tenth": 1800}.get(HOW_MUCH, 6 * 3600)  # of one test: whole campaigns take hours


def count(quick: int, whole: int) -> int:
    """How often a campaign does what it does."""
    return {"whole": whole, "tenth": max(quick, whole // 10)}.get(HOW_MUCH, quick)
