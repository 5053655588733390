"""Reading FER2013's CSV: a stream of rows, their pixels decoded many rows at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from core_code.core_utils.errors import InputError
from core_code.datasets.splits import PIXELS, Splits, by_phase

FILE_NAMES = ("icml_face_data.csv", "fer2013.csv")
USAGES = ("Training", "PublicTest", "PrivateTest")  # train, val, test
COLUMNS = ("emotion", "Usage", "pixels")
ROWS_AT_ONCE = 16  # 130 kB of text, which stays in the processor's cache while it is decoded
LONGEST_LINE = 1 << 16
LABELS = {str(label).encode(): label for label in range(7)}
PHASE_OF_USAGE = {usage.encode(): phase for phase, usage in enumerate(USAGES)}
AROUND_FIELD = b' "\t\r\n'


class Row(NamedTuple):
    """One line of the CSV, its pixels still text. `line` counts from 1, the header included."""

    line: int
    label: int
    phase: int
    pixels: bytes


def find_csv(data_root: Path) -> Path:
    """The CSV in the folder. Raises InputError that says how to get one."""
    data_root = Path(data_root)
    if data_root.exists() and not data_root.is_dir():
        raise InputError(f"{data_root}: is a file, expected the folder that holds {FILE_NAMES[0]}")
    for name in FILE_NAMES:
        if (data_root / name).is_file():
            return data_root / name
    raise InputError(
        f"{data_root / FILE_NAMES[0]}: no such file (nor {FILE_NAMES[1]}); download it from Kaggle's "
        f"'Challenges in Representation Learning: Facial Expression Recognition Challenge', "
        f"or try --dataset sample, which needs no download"
    )


def read_csv(path: Path) -> Splits:
    """Parse the whole CSV, each phase in the order of its rows.

    Columns `emotion`, `Usage` and `pixels` may stand in any order, with spaces, quotes and further columns.
    Raises InputError naming the line for anything that is not a 48x48 face with a known label and usage.
    """
    from tqdm import tqdm

    faces: list[np.ndarray] = []
    labels: list[int] = []
    phases: list[int] = []
    size = path.stat().st_size
    try:
        with (
            open(path, "rb", buffering=1 << 20) as file,
            tqdm(total=size, unit="B", unit_scale=True, desc=f"reading {path.name}", delay=2, leave=False) as bar,
        ):
            for rows in batches_of_rows(path, file):
                faces.append(decode_pixels(path, rows))
                labels.extend(row.label for row in rows)
                phases.extend(row.phase for row in rows)
                bar.update(file.tell() - bar.n)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not faces:
        raise InputError(f"{path}: holds no faces, expected rows below the header")
    return by_phase(faces, labels, phases)


def batches_of_rows(path: Path, file: BinaryIO) -> Iterator[list[Row]]:
    """Rows of the CSV, up to ROWS_AT_ONCE at a time.

    The rows ahead of a bad one are handed out before its InputError is raised, so that the first error is told.
    """
    places = columns_of(path, file.readline(LONGEST_LINE))
    rows: list[Row] = []
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=2):
        if not line.strip():
            continue
        try:
            rows.append(split_row(path, number, line, places))
        except InputError:
            if rows:
                yield rows
            raise
        if len(rows) == ROWS_AT_ONCE:
            yield rows
            rows = []
    if rows:
        yield rows


def columns_of(path: Path, header: bytes) -> dict[str, int]:
    """Where each of COLUMNS stands in the header, whatever its case."""
    names = [field.strip(AROUND_FIELD).lower() for field in header.removeprefix(b"\xef\xbb\xbf").split(b",")]
    for column in COLUMNS:
        if column.lower().encode() not in names:
            raise InputError(
                f"{path}, line 1: no column '{column}', expected a header with the columns {', '.join(COLUMNS)}"
            )
    return {"": len(names)} | {column: names.index(column.lower().encode()) for column in COLUMNS}


def split_row(path: Path, number: int, line: bytes, places: dict[str, int]) -> Row:
    """Split one line and check its label and usage."""
    fields = line.split(b",")
    if len(fields) != places[""]:
        raise InputError(f"{path}, line {number}: {len(fields)} columns, expected {places['']} as in the header")
    label = fields[places["emotion"]].strip(AROUND_FIELD)
    usage = fields[places["Usage"]].strip(AROUND_FIELD)
    if label not in LABELS:
        raise InputError(f"{path}, line {number}: label {shown(label)}, expected a whole number from 0 to 6")
    if usage not in PHASE_OF_USAGE:
        raise InputError(f"{path}, line {number}: Usage {shown(usage)}, expected one of {', '.join(USAGES)}")
    return Row(number, LABELS[label], PHASE_OF_USAGE[usage], fields[places["pixels"]].strip(AROUND_FIELD))


def decode_pixels(path: Path, rows: list[Row]) -> np.ndarray:
    """Pixels of some rows, uint8 [rows, 2304]. Raises InputError for the first row that is not one face."""
    pixels = decode_together([row.pixels for row in rows])
    if pixels is None:
        pixels = np.stack([decode_alone(path, row) for row in rows])
    return pixels


def decode_together(texts: list[bytes]) -> np.ndarray | None:
    """Decode rows of numbers all at once: every byte looks at the two ahead of it and becomes the number that
    would end there; those that do end there are kept.

    Returns uint8 [rows, 2304], or None when a row is in any way unusual and wants `decode_alone`.
    """
    if not all(texts):
        return None
    text = np.frombuffer(b"   " + b" ".join(texts) + b" ", dtype=np.uint8)
    digits = text - np.uint8(ord("0"))  # a space wraps round to 240
    is_digit = digits < 10
    if np.count_nonzero(is_digit) + np.count_nonzero(text == ord(" ")) != len(text):
        return None
    digits *= is_digit
    ones, is_one = digits[3:-1], is_digit[3:-1]
    tens, is_ten = digits[2:-2], is_digit[2:-2]
    hundreds = digits[1:-3] * (is_one & is_ten)
    too_long = is_one & is_ten & is_digit[1:-3] & is_digit[:-4]
    if too_long.any() or hundreds.max() > 2:
        return None
    hundreds *= 100
    tens_and_ones = ones + tens * np.uint8(10)
    if (tens_and_ones > 255 - hundreds).any():
        return None
    values = tens_and_ones + hundreds
    is_end = is_one & ~is_digit[4:]
    start = 0
    for row in texts:
        if np.count_nonzero(is_end[start : start + len(row)]) != PIXELS:
            return None
        start += len(row) + 1
    return values.compress(is_end).reshape(len(texts), PIXELS)


def decode_alone(path: Path, row: Row) -> np.ndarray:
    """Decode one row number by number, uint8 [2304]. Raises InputError that says what is wrong with it."""
    numbers = row.pixels.split()
    if len(numbers) != PIXELS:
        raise InputError(f"{path}, line {row.line}: {len(numbers)} pixels, expected {PIXELS} (48x48)")
    for place, number in enumerate(numbers, start=1):
        if not number.isdigit() or int(number.lstrip(b"0")[:4] or b"0") > 255:
            raise InputError(
                f"{path}, line {row.line}: pixel {place} is {shown(number)}, expected a whole number from 0 to 255"
            )
    return np.array([int(number.lstrip(b"0") or b"0") for number in numbers], dtype=np.uint8)


def shown(field: bytes) -> str:
    """A field as an error message quotes it: short, on one line."""
    text = field.decode("utf-8", "replace")
    return repr(text if len(text) <= 20 else text[:20] + "...")
