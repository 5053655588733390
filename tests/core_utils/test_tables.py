"""Tables as Markdown and as CSV, read back by other means."""

import csv

import numpy as np
import pandas as pd

from core_code.core_utils.tables import as_markdown, confusion_table, write_csv

TABLE = pd.DataFrame({"name": ["a|b", "plain"], "count": [3, 12], "share": [0.5, np.nan]})


def cells_of(markdown: str) -> list[list[str]]:
    lines = [line.strip("|").replace("\\|", "\0").split("|") for line in markdown.splitlines()]
    return [[cell.strip().replace("\0", "|") for cell in line] for line in lines]


def test_markdown_has_a_row_a_record_and_numbers_to_the_right():
    header, rule, *rows = cells_of(as_markdown(TABLE, decimals=2))
    assert header == ["name", "count", "share"]
    assert rule[0].startswith(":") and rule[1].endswith(":") and rule[2].endswith(":")
    assert rows == [["a|b", "3", "0.50"], ["plain", "12", ""]]


def test_markdown_of_no_rows_is_a_header():
    assert cells_of(as_markdown(TABLE[:0]))[0] == ["name", "count", "share"]


def test_csv_is_read_back_and_runs_no_formula(tmp_path):
    table = pd.DataFrame({"file": ["=1+1", "@x", "photo.jpg"], "value": [-1.5, 2.0, 3.0]})
    write_csv(tmp_path / "table.csv", table)
    with open(tmp_path / "table.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [["file", "value"], ["'=1+1", "-1.5"], ["'@x", "2.0"], ["photo.jpg", "3.0"]]


def test_a_confusion_matrix_has_a_row_for_each_class_with_its_recall():
    table = confusion_table([[3, 1], [0, 0]], ("Angry", "Happy"))
    assert table.columns.tolist() == ["true", "Angry", "Happy", "recall (%)"]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in as_markdown(table, 1).splitlines()]
    assert lines[2:] == [["Angry", "3", "1", "75.0"], ["Happy", "0", "0", ""]]
