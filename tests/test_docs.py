"""The documentation holds what the program does: flags, examples and links."""

import re
from pathlib import Path

import pytest
from command_tables import COMMANDS, COMMANDS_PAGE, ROOT, actions_of, parser_of, with_tables

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"`([\w/]+\.py):\s(\w+)`")  # `datasets/loader.py: FaceBatches`
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_is_in_the_commands_page(command):
    page = COMMANDS_PAGE.read_text(encoding="utf-8")
    section = page.split(f"<!-- flags: {command} -->")[1].split("<!-- /flags -->")[0]
    names = {name for action in actions_of(parser_of(command)) for name in action.option_strings or [action.dest]}
    assert not {name for name in names if f"`{name}`" not in section}, "python tests/command_tables.py writes them"


def test_the_tables_are_those_of_the_parsers():
    page = COMMANDS_PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page), "python tests/command_tables.py writes them anew"


def test_the_python_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, code in enumerate(EXAMPLE.findall((ROOT / "docs" / "python.md").read_text(encoding="utf-8"))):
        exec(compile(code, f"example {number} of docs/python.md", "exec"), names)
    assert names["edited"].shape == (8, 48, 48)
    assert (tmp_path / "checkpoints" / "ckpt_resnet18_quick_best_validation.pth").exists()


def test_the_readme_is_one_page():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        if heading:
            assert heading in headings(target), f"{link}: no such heading"


@pytest.mark.parametrize(
    "page", [ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name
)
def test_the_functions_that_are_named_exist(page):
    files = [path for folder in ("core_code", "EmotionGAN") for path in (ROOT / folder).rglob("*.py")]
    files += ROOT.glob("*.py")
    for path, name in NAMED.findall(page.read_text(encoding="utf-8")):
        found = [file for file in files if f"/{file.relative_to(ROOT).as_posix()}".endswith(f"/{path}")]
        definition = re.compile(rf"^\s*(def|class) {name}\b|^{name}\b.* =", re.MULTILINE)
        assert any(definition.search(file.read_text(encoding="utf-8")) for file in found), f"{path}: {name}"


def headings(page: Path) -> set[str]:
    """The names that GitHub gives a page's headings."""
    lines = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE).splitlines()
    titles = [line.lstrip("#").strip().lower() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}
