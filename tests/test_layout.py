"""The layout: imports run one way and in no circle; files, functions and the whole stay small; four scripts at the top.

All imports count: those inside functions, under TYPE_CHECKING, in sub-folders, and import_module("...").
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = {"create_augmentations.py", "optuna_study.py", "train_model.py", "train_byol_model.py"}
FOLDERS = ("core_code", "EmotionGAN", "benchmarks")

FILE_LINES = 300
FUNCTION_LINES = 60  # docstring and decorators counted
PRODUCT_LINES = 13_500

# Each room, and the rooms that it may import from beside itself.
BELOW_TRAINING = {"core_utils", "models", "datasets"}
BELOW_EXPERIMENTS = {*BELOW_TRAINING, "training", "evaluation", "search", "prediction", "EmotionGAN"}
ARROWS = {
    "": {"prediction"},  # core_code's own __init__: the public names
    "core_utils": set(),
    "EmotionGAN": {"core_utils"},
    "models": {"core_utils"},
    "datasets": {"core_utils", "models", "EmotionGAN"},
    "training": BELOW_TRAINING,
    "evaluation": {*BELOW_TRAINING, "training"},
    "search": {*BELOW_TRAINING, "training"},
    "prediction": {*BELOW_TRAINING, "training"},
    "EmotionGAN/__main__": {
        "core_utils", "models.architectures", "datasets", "training", "evaluation", "EmotionGAN"
    },
    "experiments": BELOW_EXPERIMENTS,
    "scripts": {*BELOW_EXPERIMENTS, "experiments"},
    "benchmarks": {*BELOW_EXPERIMENTS, "experiments"},
}  # fmt: skip
# Files that stand beside the rooms that they belong to.
COMMANDS = {
    "core_code.evaluate": "evaluation", "core_code.export": "prediction", "core_code.predict": "prediction",
    "core_code.soft_labels": "training",
}  # fmt: skip

# What is still to be put right: exactly the violations of today. Whoever removes one removes its line here.
KNOWN_IMPORTS: set[str] = set()
KNOWN_CIRCLES: set[str] = set()
KNOWN_FOLDER_CIRCLES: set[str] = set()
KNOWN_LONG_FILES: set[str] = set()
# Library modules that still take an argparse.Namespace where frozen settings should be.
KNOWN_NAMESPACES: set[str] = set()


@cache
def product_files() -> dict[str, Path]:
    """Every Python file outside tests/, under its module's name."""
    paths = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
    return {module_name(path): path for path in sorted(paths)}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports() -> dict[str, set[str]]:
    """For each module the modules of this project that it imports, wherever the import stands."""
    modules = product_files()
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        names = {resolve(name, modules) for name in imported_names(path)}
        found[module] = {name for name in names if name and name != module}
    return found


def imported_names(path: Path) -> Iterator[str]:
    """Dotted names that a file imports; of `from a import b` the name a.b."""
    package = module_name(path) if path.stem == "__init__" else module_name(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func).rpartition(".")[2]:
            yield from (
                word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)
            )


def resolve(name: str, modules: dict[str, Path]) -> str:
    """The longest beginning of a dotted name that is a module of this project; "" where none is."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def room_of(module: str) -> str:
    """The room that a module stands in; "" for core_code's own __init__."""
    if module in COMMANDS:
        return COMMANDS[module]
    parts = module.split(".")
    if parts[0] == "EmotionGAN":
        return "EmotionGAN/__main__" if parts[-1] == "__main__" else "EmotionGAN"
    if parts[0] == "core_code":
        return "".join(parts[1:2])
    return "benchmarks" if parts[0] == "benchmarks" else "scripts"


def may_import(module: str, imported: str) -> bool:
    room, other = room_of(module), room_of(imported)
    if "scripts" in (room, other) and room == other:
        return False  # the scripts know nothing of each other
    return room == other or bool({other, imported.removeprefix("core_code.")} & ARROWS[room])


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """The groups of nodes that reach each other."""
    reach = {node: reachable(node, arrows) for node in arrows}
    groups = {frozenset(other for other in reach[node] if node in reach.get(other, ())) for node in arrows}
    return [set(group) for group in groups if group]


def reachable(node: str, arrows: dict[str, set[str]]) -> set[str]:
    """Every node that a way of one arrow or more leads to."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        new = arrows.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def test_every_room_is_known():
    assert {room_of(module) for module in product_files()} == set(ARROWS)
    assert {path.name for path in ROOT.glob("*.py")} == SCRIPTS


def test_the_arrows_themselves_run_in_no_circle():
    assert not circles(ARROWS)


def test_rooms_import_only_what_they_stand_on():
    found = {
        f"{module} -> {name}" for module, names in imports().items() for name in names if not may_import(module, name)
    }
    assert found == KNOWN_IMPORTS


def test_of_the_data_sets_only_the_augmentations_know_the_generator():
    for module, names in imports().items():
        if room_of(module) == "datasets" and not module.startswith("core_code.datasets.augmentations."):
            assert not any(room_of(name) == "EmotionGAN" for name in names), module


def test_no_circle_between_files():
    assert {" ".join(sorted(circle)) for circle in circles(imports())} == KNOWN_CIRCLES


def test_no_circle_between_packages():
    """Folders, that is: one below another counts as part of it; a `__main__.py` stands above its folder, by itself."""
    arrows: dict[str, set[str]] = {}
    for module, names in imports().items():
        here = folder_of(module)
        others = {folder_of(name) for name in names}
        arrows.setdefault(here, set()).update(other for other in others if not nested(here, other))
    assert {" ".join(sorted(circle)) for circle in circles(arrows)} == KNOWN_FOLDER_CIRCLES


def folder_of(module: str) -> str:
    path = product_files()[module].relative_to(ROOT)
    return str(path if path.stem == "__main__" else path.parent)


def nested(one: str, other: str) -> bool:
    """Whether two folders are the same, or one lies in the other; no file lies in a folder."""
    if "__main__.py" in one + other:
        return one == other
    return Path(one).is_relative_to(other) or Path(other).is_relative_to(one)


def test_only_commands_handle_a_namespace():
    """Commands are what `python -m` runs, `__main__.py` or any file that calls its main; and core_utils/flags."""
    texts = {module: path.read_text() for module, path in product_files().items()}
    found = {module for module, text in texts.items() if "Namespace" in text and room_of(module) != "benchmarks"}
    commands = {module for module, text in texts.items() if '__name__ == "__main__"' in text}
    assert found - commands - {"core_code.core_utils.flags"} == KNOWN_NAMESPACES


def test_files_are_short():
    long = {str(path.relative_to(ROOT)) for path in product_files().values() if count_lines(path) > FILE_LINES}
    assert long == KNOWN_LONG_FILES


def test_functions_fit_a_screen():
    long = [
        f"{module}.{node.name}: {length} lines"
        for module, path in product_files().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := node.end_lineno - min([node.lineno, *(mark.lineno for mark in node.decorator_list)]) + 1)
        > FUNCTION_LINES
    ]
    assert long == []


@pytest.mark.xfail(strict=False, reason="the product is being made smaller")
def test_the_product_stays_small():
    assert sum(count_lines(path) for path in product_files().values()) <= PRODUCT_LINES


def count_lines(path: Path) -> int:
    return len(path.read_text().splitlines())
