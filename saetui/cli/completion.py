"""`saetui completion`: the script that lets a shell complete commands, jobs, templates, hyperparameters and their values.

The shell calls `saetui` itself for each tab; cli/candidates.py has what it offers.
"""

from __future__ import annotations

import os
import shlex

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from saetui.cli.main import COMPLETE, saetui
from saetui.cli.output import json_option, print_result

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print the script with which a shell completes commands and names.

    Names of jobs, templates, fields and hyperparameters, their values, and files.

    Put one of these into the file that your shell reads when it starts:

    \b
    ~/.bashrc                    eval "$(saetui completion bash)"
    ~/.zshrc                     eval "$(saetui completion zsh)"
    ~/.config/fish/config.fish   saetui completion fish | source
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click knows these three"
    script = kind(saetui, {}, "saetui", COMPLETE).source().strip()
    print_result({"shell": shell, "script": script}, as_json, script)


@add_completion_class
class SaetuiBash(BashComplete):
    """Bash takes `=` and `:` for the end of a word: `-o lr_schedule=co` would be three. The line itself says what was typed."""

    name = "bash"
    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n'
    COMPREPLY=( $(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete $1) )
    case "${COMPREPLY[0]}" in
        file,*) compopt -o default; COMPREPLY=() ;;
        *=) compopt -o nospace ;;
    esac
    COMPREPLY=( "${COMPREPLY[@]#plain,}" )
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)[1:]
        return (words, "") if line[-1:].isspace() or not words else (words[:-1], words[-1])

    def format_completion(self, item: CompletionItem) -> str:
        _, incomplete = self.get_completion_args()
        # Bash replaces only what follows the last of these.
        begun = max(incomplete.rfind("="), incomplete.rfind(":")) + 1
        return f"{item.type},{shlex.quote(item.value[begun:]) if ' ' in item.value else item.value[begun:]}"
