"""Check this machine: what is there, what is missing, and the command that mends it.

examples:
  wherry doctor
  wherry doctor -o json
"""

import argparse

from wherry.assembly import checks, settings, supervisor
from wherry.assembly.node import NodeSettings
from wherry.cli import output


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")


def run(args: argparse.Namespace) -> int:
    """0 when all is well, 1 otherwise."""
    kept = settings.load(args.data_dir) if settings.exists(args.data_dir) else NodeSettings(data_dir=args.data_dir)
    running = bool(supervisor.holder(supervisor.lock_path(kept, "supervisor")))
    found = checks.everything(kept, running=running)
    if args.output == "json":
        output.data([{"check": f.check, "ok": f.ok, "detail": f.detail, "mend": f.mend} for f in found])
    else:
        output.table(("CHECK", "STATE", "DETAIL"), [(f.check, "ok" if f.ok else "MISSING", f.detail) for f in found])
        mends = list(dict.fromkeys(f.mend for f in found if not f.ok))
        for mend in mends:
            output.line(f"\nto mend:  {mend}")
    return 0 if all(f.ok for f in found) else 1
