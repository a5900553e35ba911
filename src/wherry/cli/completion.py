"""Print what makes a shell complete verbs and flags; made from the parsers, so it knows every one.

examples:
  wherry completion bash > /etc/bash_completion.d/wherry
  wherry completion zsh > ~/.zfunc/_wherry
  wherry completion fish > ~/.config/fish/completions/wherry.fish
"""

import argparse

from wherry.cli import output


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])


def run(args: argparse.Namespace) -> int:
    """0."""
    from wherry.cli.main import VERBS, parser_for

    words = {verb: _words(parser_for(verb)[0]) for verb in VERBS if verb != "kubectl"}
    output.line({"bash": bash, "zsh": zsh, "fish": fish}[args.shell](words, dict(VERBS)))
    return 0


def _words(parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """Flags and words that may stand behind a verb: those of its actions too."""
    found: dict[str, None] = {}
    for action in parser._actions:
        found.update(dict.fromkeys(option for option in action.option_strings if option.startswith("--")))
        if not action.option_strings and action.choices:
            found.update(dict.fromkeys(map(str, action.choices)))
            children = action.choices.values() if isinstance(action.choices, dict) else ()
            found.update(dict.fromkeys(word for child in children for word in _words(child)))
    return tuple(found)


def bash(words: dict[str, tuple[str, ...]], verbs: dict[str, str]) -> str:
    """Files are offered where no word fits."""
    cases = "\n".join(f"    {verb}) words={' '.join(found)!r} ;;" for verb, found in words.items())
    return f"""_wherry() {{
  local words current=${{COMP_WORDS[COMP_CWORD]}}
  if [ "$COMP_CWORD" -eq 1 ]; then
    words={' '.join(verbs)!r}
  else
    case ${{COMP_WORDS[1]}} in
{cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _wherry wherry"""


def zsh(words: dict[str, tuple[str, ...]], verbs: dict[str, str]) -> str:
    """bash's, through zsh's own bridge to it."""
    return f"#compdef wherry\nautoload -U +X bashcompinit && bashcompinit\n{bash(words, verbs)}"


def fish(words: dict[str, tuple[str, ...]], verbs: dict[str, str]) -> str:
    """One line a verb, one a word."""
    lines = []
    for verb, text in verbs.items():
        quoted = text.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"complete -c wherry -n __fish_use_subcommand -f -a {verb} -d '{quoted}'")
    for verb, found in words.items():
        behind = f"complete -c wherry -n '__fish_seen_subcommand_from {verb}'"
        lines += [f"{behind} -l {word[2:]}" if word.startswith("--") else f"{behind} -a {word}" for word in found]
    return "\n".join(lines)
