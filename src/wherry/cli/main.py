"""`wherry VERB`: find the verb's module, run it, turn errors into a message and an exit code.

Exit codes: 0 done, 1 it failed (the message says what to do), 2 wrong usage, 3 not ready or not running, 130 interrupted.
`wherry kubectl` and `wherry build` pass on the codes of kubectl and of the build phase.
"""

import argparse
import errno
import importlib
import os
import sys
from pathlib import Path

from wherry import KUBERNETES_VERSION, __version__
from wherry.assembly.settings import default_data_dir
from wherry.cli import kubectl, output
from wherry.kit.errors import Unavailable, WherryError

# verb -> one line for the overview; the module wherry.cli.<verb> has configure(parser) and run(args) -> int
VERBS = {
    "up": "start the cluster, or bring it back after a crash",
    "down": "stop the cluster and everything it runs; --purge removes its data",
    "status": "what runs, and whether it is well",
    "doctor": "what this machine lacks, and the one command that mends it",
    "build": "build an image from source code",
    "deploy": "build, push, run and route an application",
    "assemble": "make an image from distribution packages",
    "image": "list, load, save, remove and prune images",
    "push": "send an image to a registry",
    "rebase": "put a built image on a newer base, without building",
    "registry": "how to reach the cluster's image registry",
    "backup": "copy the cluster's state, or go back to a copy",
    "cluster": "the clusters of this machine",
    "token": "tokens that let a machine join",
    "join": "make this machine a node of a cluster",
    "kubectl": "run kubectl against this cluster",
    "completion": "completion of verbs and flags for bash, zsh and fish",
}
HIDDEN = ("run",)
EXIT_FAILED = 1
EXIT_NOT_READY = 3
EXIT_INTERRUPTED = 130
MENDS = {
    errno.ENOSPC: "free some space on that disk, or choose another --data-dir",
    errno.EDQUOT: "free some space of that quota, or choose another --data-dir",
    errno.EROFS: "that disk is read-only; choose another --data-dir",
    errno.EACCES: "run it with sudo",
    errno.EPERM: "run it with sudo",
}
EXIT_PIPE = 141


def overview() -> str:
    """The text of `wherry --help`."""
    rows = "\n".join(f"  {verb:12}{text}" for verb, text in VERBS.items())
    return (
        "usage: wherry VERB [flags]\n\nThe cloud native stack in one program.\n\n"
        f"{rows}\n\n  wherry VERB --help   flags and examples of a verb\n  wherry --version\n"
    )


def parser_for(verb: str) -> tuple[argparse.ArgumentParser, object]:
    """The verb's parser with the flags every verb has, and its module."""
    module = importlib.import_module(f"wherry.cli.{verb}")
    parser = argparse.ArgumentParser(
        prog=f"wherry {verb}",
        description=(module.__doc__ or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=verb != "kubectl",
        allow_abbrev=False,
    )
    module.configure(parser)
    _add_data_dir(parser, default_data_dir())
    return parser, module


def _add_data_dir(parser: argparse.ArgumentParser, default: object) -> None:
    """Also below: `wherry image --data-dir DIR ls` and `wherry image ls --data-dir DIR` are one."""
    parser.add_argument(
        "--data-dir", type=Path, default=default, metavar="DIR",
        help="all state of one cluster (default $WHERRY_DATA_DIR, else /var/lib/wherry)",
    )  # fmt: skip
    for action in parser._subparsers._group_actions if parser._subparsers else ():
        for child in dict(action.choices or {}).values():
            _add_data_dir(child, argparse.SUPPRESS)


def machine_refuses(error: OSError) -> str:
    """What the operating system would not do, to which file, and what mends it."""
    what = (error.strerror or str(error) or "timed out").lower()
    where = f": {error.filename!r}" if error.filename else ""
    mend = MENDS.get(error.errno or 0, "")
    return what + where + (f"; {mend}" if mend else "")


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        output.line(overview())
        return 0 if arguments else 2
    if arguments[0] in ("--version", "version"):
        output.line(f"wherry {__version__} (Kubernetes {KUBERNETES_VERSION})")
        return 0
    verb = arguments[0]
    if verb not in VERBS and verb not in HIDDEN:
        output.note(f"wherry: unknown verb {verb!r}; one of: {', '.join(VERBS)}")
        return 2
    parser, module = parser_for(verb)
    args = parser.parse_args(arguments[1:]) if verb != "kubectl" else None
    try:
        args = args or kubectl.parse(arguments[1:])
        return int(module.run(args))  # type: ignore[attr-defined]
    except Unavailable as error:
        output.note(f"wherry {verb}: {error}")
        return EXIT_NOT_READY
    except WherryError as error:
        output.note(f"wherry {verb}: {error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as in `wherry status | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except OSError as error:  # a full or read-only disk, a file of another user: the machine's, not a bug's, and said so
        output.note(f"wherry {verb}: {machine_refuses(error)}")
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
