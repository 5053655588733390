"""The tables of flags in docs/commands.md, out of the commands' own parsers.

python tests/command_tables.py     # writes them anew, after a flag has changed
"""

import argparse
import importlib
import re
import sys
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
COMMANDS_PAGE = ROOT / "docs" / "commands.md"
COMMANDS = {  # as they are typed after `python`, and the module whose main() parses
    "create_augmentations.py": "create_augmentations",
    "train_model.py": "train_model",
    "train_byol_model.py": "train_byol_model",
    "optuna_study.py": "optuna_study",
    "-m core_code.datasets": "core_code.datasets.__main__",
    "-m core_code.soft_labels": "core_code.soft_labels",
    "-m core_code.evaluate": "core_code.evaluate",
    "-m core_code.predict": "core_code.predict",
    "-m core_code.export": "core_code.export",
    "-m core_code.experiments": "core_code.experiments.__main__",
    "-m core_code.experiments.compare": "core_code.experiments.compare",
    "-m EmotionGAN.learn": "EmotionGAN.learn.__main__",
    "-m EmotionGAN.measure": "EmotionGAN.measure.__main__",
    "-m EmotionGAN.figures": "EmotionGAN.figures.__main__",
    "-m EmotionGAN.explore": "EmotionGAN.explore.__main__",
    "-m EmotionGAN.edit": "EmotionGAN.edit.__main__",
    "-m EmotionGAN.export": "EmotionGAN.export.__main__",
}
TABLE = re.compile(r"(?P<start><!-- flags: (?P<command>.+?) -->\n).*?(?P<end><!-- /flags -->)", re.DOTALL)


class Parsing(Exception):
    """Raised in place of parsing: what the command's parser is."""


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of one of COMMANDS, complete, just before it would parse."""

    def stop(parser: argparse.ArgumentParser, *_: object) -> None:
        raise Parsing(parser)

    module = importlib.import_module(COMMANDS[command])
    with patch.object(argparse.ArgumentParser, "parse_args", stop):
        try:
            module.main([])
        except Parsing as found:
            return found.args[0]
    raise AssertionError(f"{command} parsed nothing")


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Its flags and positional arguments, but for --help and what it hides."""
    hidden = (argparse.SUPPRESS,)
    return [action for action in parser._actions if action.help not in hidden and "--help" not in action.option_strings]


def table_of(command: str) -> str:
    """A Markdown table, a row for each flag."""
    lines = ["| Flag | Meaning |", "|---|---|"]
    for action in actions_of(parser_of(command)):
        names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.dest}`"
        if action.choices is not None:
            names += " " + ", ".join(f"`{choice}`" for choice in action.choices)
        meaning = (action.help or "") % {**vars(action), "prog": ""} if action.help else ""
        meaning += " (required)" if action.required and action.option_strings else ""
        if action.default not in (None, [], argparse.SUPPRESS) and "default:" not in meaning:
            shown = " ".join(map(str, action.default)) if isinstance(action.default, list | tuple) else action.default
            meaning += f" (default: {shown})"
        lines.append(f"| {names} | {meaning.strip().replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def with_tables(page: str) -> str:
    """The page with each table as the parsers have it today."""
    return TABLE.sub(lambda found: found["start"] + table_of(found["command"]) + found["end"], page)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    COMMANDS_PAGE.write_text(with_tables(COMMANDS_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
