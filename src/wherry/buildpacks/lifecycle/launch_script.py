"""What our launcher reads at the start of a container: the buildpacks in order and the processes, as shell.

In:    the processes and buildpacks of a build.
Out:   the text of `<layers>/config/launch.sh`, sourced by `launcher.sh`. Pure.
Why shell: run images need nothing for it but /bin/sh, and nothing has to be compiled for each architecture.
"""

import shlex
from collections.abc import Iterable

from wherry.buildpacks.lifecycle.descriptor import Buildpack
from wherry.buildpacks.lifecycle.layers import Process


def render(group: Iterable[Buildpack], processes: Iterable[Process]) -> str:
    """Defines `buildpacks` and `choose TYPE [USER ARGUMENTS]`, which sets `command`, `is_direct`, `directory` or returns 1."""
    folders = " ".join(pack.escaped_id for pack in group)
    cases = "\n".join(_case(process) for process in processes)
    return f"""# Made by the exporter, for /cnb/lifecycle/launcher.
buildpacks={shlex.quote(folders)}
choose() {{
  process=$1
  shift
  case $process in
{cases}
  *) return 1 ;;
  esac
}}
"""


def _case(process: Process) -> str:
    fixed, variable = process.command, process.args
    given = _words(variable)
    if process.replaces_args:
        arguments = f"[ $# -gt 0 ] || set -- {given}" if given else ":"
    else:
        arguments = f'set -- {given} "$@"' if given else ":"
    lines = [arguments, f'run {"direct" if process.is_direct else "shell"} {shlex.quote(process.working_dir)} {_words(fixed)} "$@"']
    return f"  {shlex.quote(process.type)})\n" + "\n".join(f"    {line}" for line in lines) + " ;;"


def _words(words: Iterable[str]) -> str:
    return " ".join(shlex.quote(word) for word in words)
