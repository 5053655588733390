"""FER2013's CSV: a row a face, its 2,304 pixels as numbers in text."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from core_code.core_utils.errors import InputError
from core_code.datasets.splits import PIXELS, Splits, by_split

FILE_NAMES = ("icml_face_data.csv", "fer2013.csv")
USAGES = ("Training", "PublicTest", "PrivateTest")  # train, val, test
COLUMNS = ("emotion", "Usage", "pixels")
ROWS_AT_ONCE = 16  # 130 kB of text, which stays in the processor's cache while it is decoded
LONGEST_LINE = 1 << 16
LABELS = {str(label).encode(): label for label in range(7)}
SPLIT_OF_USAGE = {usage.encode(): split for split, usage in enumerate(USAGES)}
AROUND_FIELD = b' "\t\r\n'
DIGITS, BLANKS = b"0123456789", b" \t\n\r\v\f"


def find_csv(data_root: Path) -> Path:
    """The CSV in the folder. Raises InputError that says how to get one."""
    data_root = Path(data_root)
    if data_root.exists() and not data_root.is_dir():
        raise InputError(f"{data_root}: is a file, expected the folder that holds {FILE_NAMES[0]}")
    for name in FILE_NAMES:
        if (data_root / name).is_file():
            return data_root / name
    others = [path for pattern in ("*.csv", "*/*.csv") for path in data_root.glob(pattern) if path.is_file()]
    there = f"; {min(others)} is there: give its folder, and {FILE_NAMES[0]} for its name" if others else ""
    raise InputError(
        f"{data_root / FILE_NAMES[0]}: no such file (nor {FILE_NAMES[1]}){there}; download it from Kaggle's "
        f"'Challenges in Representation Learning: Facial Expression Recognition Challenge', "
        f"or try --dataset sample, which needs no download"
    )


def read_csv(path: Path) -> Splits:
    """Parse the whole CSV, each split in the order of its rows.

    Columns `emotion`, `Usage` and `pixels` may stand in any order, with spaces, quotes and further columns.
    Raises InputError naming the line for anything that is not a 48x48 face with a known label and usage.
    """
    faces: list[np.ndarray] = []
    labels: list[int] = []
    splits: list[int] = []
    pending: list[tuple[bytes, str]] = []
    size = path.stat().st_size
    try:
        with (
            open(path, "rb", buffering=1 << 20) as file,
            tqdm(total=size, unit="B", unit_scale=True, desc=f"reading {path.name}", delay=2, leave=False) as bar,
        ):
            try:
                for label, split, pixels, where in rows_of(path, file):
                    labels.append(label)
                    splits.append(split)
                    pending.append((pixels, where))
                    if len(pending) == ROWS_AT_ONCE:
                        faces.extend(decode_pixels(pending))
                        pending.clear()
                        bar.update(file.tell() - bar.n)
            finally:  # a wrong pixel is told before what is wrong in a later row
                faces.extend(decode_pixels(pending))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not faces:
        raise InputError(f"{path}: holds no faces, expected rows below the header")
    return by_split(faces, labels, splits)


def rows_of(path: Path, file: BinaryIO) -> Iterator[tuple[int, int, bytes, str]]:
    """Label, split, pixels as text, and where it stands, of each row. Raises InputError for the first wrong one."""
    width, *places = columns_of(path, file.readline(LONGEST_LINE))
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=2):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        fields = line.split(b",")
        if len(fields) != width:
            raise InputError(f"{where}: {len(fields)} columns, expected {width} as in the header")
        label, usage, pixels = (fields[place].strip(AROUND_FIELD) for place in places)
        if label not in LABELS:
            raise InputError(f"{where}: label {shown(label)}, expected a whole number from 0 to 6")
        if usage not in SPLIT_OF_USAGE:
            raise InputError(f"{where}: Usage {shown(usage)}, expected one of {', '.join(USAGES)}")
        yield LABELS[label], SPLIT_OF_USAGE[usage], pixels, where


def columns_of(path: Path, header: bytes) -> list[int]:
    """How many columns the header has, and where each of COLUMNS stands in it, whatever its case."""
    header = header.removeprefix(b"\xef\xbb\xbf")
    check_separator(path, header)
    names = [field.strip(AROUND_FIELD).lower() for field in header.split(b",")]
    for column in COLUMNS:
        if column.lower().encode() not in names:
            expected = f"expected a header with the columns {', '.join(COLUMNS)}"
            raise InputError(f"{path}, line 1: no column '{column}', {expected}")
    return [len(names), *(names.index(column.lower().encode()) for column in COLUMNS)]


def check_separator(path: Path, header: bytes) -> None:
    """Raise InputError for a header that a spreadsheet has written with another separator."""
    for mark in (b";", b"\t"):
        if b"," not in header and mark in header:
            raise InputError(f"{path}, line 1: columns are separated by {shown(mark)}, expected by ','")


def decode_pixels(rows: list[tuple[bytes, str]]) -> Iterable[np.ndarray]:
    """Faces, uint8 [2304] each, of their numbers as text and where each stands. Raises InputError for a wrong one."""
    faces = decode_together([text for text, _ in rows])
    return [decode_alone(text, where) for text, where in rows] if faces is None else faces


def decode_together(texts: list[bytes]) -> np.ndarray | None:
    """Faces as uint8 [rows, 2304]; None where they are not plain numbers of up to three digits.

    Every byte becomes the number that would end there, of its digit and the two ahead of it; those that do end
    there are kept.
    """
    text = b" ".join(texts)
    if not text or not all(texts) or text.translate(None, DIGITS + BLANKS):
        return None
    digits = np.frombuffer(b"   " + text + b" ", dtype=np.uint8) - np.uint8(ord("0"))  # of a blank more than 9
    is_digit = digits < 10
    digits *= is_digit
    has_ten = is_digit[3:-1] & is_digit[2:-2]
    has_hundred = has_ten & is_digit[1:-3]
    below_100 = digits[3:-1] + digits[2:-2] * np.uint8(10)
    hundreds = digits[1:-3] * has_hundred
    numbers = below_100 + hundreds * np.uint8(100)  # wraps round above 255
    if hundreds.max() > 2 or (numbers < below_100).any() or (has_hundred & is_digit[:-4]).any():
        return None
    is_end = is_digit[3:-1] > is_digit[4:]
    starts = np.cumsum([0, *(len(row) + 1 for row in texts[:-1])])
    if (np.add.reduceat(is_end, starts, dtype=np.intp) != PIXELS).any():
        return None
    return numbers.compress(is_end).reshape(len(texts), PIXELS)


def decode_alone(text: bytes, where: str) -> np.ndarray:
    """One face's numbers, uint8 [2304], looked at one by one. Raises InputError that tells what is wrong."""
    words = text.split()
    if len(words) != PIXELS:
        raise InputError(f"{where}: {len(words)} pixels, expected {PIXELS} (48x48)")
    for place, word in enumerate(words, start=1):
        if not word.isdigit() or int(word.lstrip(b"0")[:4] or b"0") > 255:
            raise InputError(f"{where}: pixel {place} is {shown(word)}, expected a whole number from 0 to 255")
    return np.array([int(word.lstrip(b"0") or b"0") for word in words], dtype=np.uint8)


def shown(field: bytes) -> str:
    """A field as an error message quotes it: short, on one line."""
    text = field.decode("utf-8", "replace")
    return repr(text if len(text) <= 20 else text[:20] + "...")
