"""The one way in which tables are printed and written: a pandas DataFrame as Markdown or as CSV."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core_code.core_utils.files import atomic_write

DANGEROUS = ("=", "+", "-", "@", "\t", "\r")  # first characters of cells that spreadsheets run as formulas


def as_markdown(table: pd.DataFrame, decimals: int | None = None) -> str:
    """The table as Markdown: text to the left, numbers to the right, missing values empty, `|` in cells escaped.

    `decimals` is how many the floating-point numbers have (None: as many as they need). The index is left out.
    """
    shown = table.copy()
    for name, column in table.items():
        if pd.api.types.is_float_dtype(column) and decimals is not None:
            shown[name] = [f"{value:.{decimals}f}" if pd.notna(value) else "" for value in column]
        else:
            shown[name] = ["" if pd.isna(value) else str(value).replace("|", "\\|") for value in column]
    align = ["right" if pd.api.types.is_numeric_dtype(column) else "left" for _, column in table.items()]
    return shown.to_markdown(index=False, disable_numparse=True, colalign=align if len(table) else None)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """The table as a CSV file that spreadsheets open: UTF-8, a header, no index; whole or not at all.

    Texts that a spreadsheet would run as a formula get an apostrophe before them. Raises InputError when the file
    cannot be written.
    """
    safe = table.map(lambda value: f"'{value}" if isinstance(value, str) and value.startswith(DANGEROUS) else value)
    content = safe.to_csv(index=False, lineterminator="\n").encode(errors="backslashreplace")
    atomic_write(path, lambda file: file.write(content))


def confusion_table(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> pd.DataFrame:
    """A confusion matrix [C,C] as counts: a row for each true class, a column for each prediction, its recall in
    percent at the end (missing where the class has no faces)."""
    table = pd.DataFrame(confusion, columns=list(names))
    recall = [100 * row[i] / sum(row) if sum(row) else float("nan") for i, row in enumerate(confusion)]
    return pd.concat([pd.Series(list(names), name="true"), table, pd.Series(recall, name="recall (%)")], axis=1)
