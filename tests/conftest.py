"""For every test: downloads of packages are shared and stay inside the checkout, where `make clean` removes them."""

import os
from pathlib import Path

os.environ.setdefault("WHERRY_CACHE_DIR", str(Path(__file__).parent.parent / ".cache" / "downloads"))
