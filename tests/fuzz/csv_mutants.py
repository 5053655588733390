"""FER2013's CSV, damaged: as bytes, as text, and row by row. Where one row is bad the error must name it."""

from functools import cache
from pathlib import Path

import numpy as np
from family import Family, Mutant
from mutations import DAMAGES, Random
from small_faces import smooth_faces

from core_code.core_utils.errors import InputError
from core_code.datasets.fer2013_csv import find_csv, read_csv
from core_code.datasets.splits import Splits

USAGES = ("Training", "PublicTest", "PrivateTest")
ROWS = 7
ODD_PIXELS = ("256", "-1", "1e3", "٣", "²", "１２", "0x10", "nan", "99999999999999999999", "1" * 5000,
              "0" * 20 + "999", "0" * 20 + "7", "+5", "1_0", "\x00", "12.0", "255.",
              "\u00a0", "0012", "300", "1000", '"', "é")  # fmt: skip
ODD_LABELS = ("7", "-1", "", "3.0", "٣", "06", "1e0", "Happy", "\x00", "9" * 5000, "nan", '"3"', "3;", "True")
ODD_USAGES = ("", "training", "Testing", "Training\x00", "Training PublicTest", "²", '"Training"', "x" * 50_000)
ODD_HEADERS = (
    "", "emotion", "emotion,pixels", "emotion,emotion,Usage,pixels", "pixels,Usage,emotion", "a,b,c",
    "emotion;Usage;pixels", "emotion,Usage,pixels,extra", "EMOTION,USAGE,PIXELS", "emotion\tUsage\tpixels",
    "," * 70_000, "\x00emotion,Usage,pixels", "emotion,Usage,pixels" + " " * 70_000, '"emotion"," Usage ","pixels"',
    "émotion,Usage,pixels",
)  # fmt: skip


@cache
def sound_rows() -> list[list[str]]:
    """Header and rows, as fields."""
    rows = [
        [str(row), USAGES[row % 3], " ".join(map(str, face.ravel()))] for row, face in enumerate(smooth_faces(ROWS))
    ]
    return [["emotion", " Usage", " pixels"], *rows]


def bad_row(rows: list[list[str]], kind: str, rng: Random) -> tuple[int, bool]:
    """Spoil one row; returns its line and whether it must be refused."""
    line = rng.randint(2, len(rows))
    row = rows[line - 1]
    pixels = row[2].split(" ")
    refused = True
    if kind == "a pixel":
        odd, refused = rng.choice(ODD_PIXELS), False
        pixels[rng.choice((0, -1, rng.randrange(len(pixels))))] = odd
        row[2] = " ".join(pixels)
    elif kind == "a label":
        row[0], refused = rng.choice(ODD_LABELS), False
    elif kind == "a usage":
        row[1], refused = rng.choice(ODD_USAGES), False
    elif kind == "pixels too few":
        row[2] = " ".join(pixels[: rng.choice((0, 1, 47, 48, 2303))])
    elif kind == "pixels too many":
        row[2] = " ".join(pixels * rng.choice((2, 5, 40)))
    elif kind == "no pixels":
        row[2] = rng.choice(("", " ", '""', "\t"))
    elif kind == "fields swapped":
        one, other = rng.sample(range(3), 2)
        row[one], row[other] = row[other], row[one]
    elif kind == "a field missing":
        del row[rng.randrange(3)]
    elif kind == "a field more":
        row.insert(rng.randrange(4), rng.choice(("", "1", "Training")))
    elif kind == "a very long line":
        row[rng.randrange(3)] += rng.choice(("x", "1 ", "9", " 0")) * 400_000
    elif kind == "other gaps":
        gap, refused = rng.choice(("  ", "\t", "\x0b", "\u2003", " \t ", "\r")), False
        row[2] = row[2].replace(" ", gap)
    return line, refused


ROW_KINDS = ("a pixel", "a label", "a usage", "pixels too few", "pixels too many", "no pixels", "fields swapped",
             "a field missing", "a field more", "a very long line", "other gaps")  # fmt: skip
FILE_KINDS = ("header", "encoding", "line ends", "zero bytes", "one row alone", "rows missing", "blank lines", "quotes")


def whole_file(rows: list[list[str]], kind: str, rng: Random) -> bytes:
    """Change the file as a whole."""
    text = "".join(",".join(row) + "\n" for row in rows)
    if kind == "header":
        return (rng.choice(ODD_HEADERS) + "\n" + text.partition("\n")[2]).encode()
    if kind == "encoding":
        return text.encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "cp037", "utf-7", "utf-16-be")))
    if kind == "line ends":
        return text.replace("\n", rng.choice(("\r\n", "\r", "\n\n", "\u2028", "\n\r", " \n"))).encode()
    if kind == "zero bytes":
        content, every = text.encode(), rng.choice((2, 100, 9000))
        return b"\0".join(content[start : start + every] for start in range(0, len(content), every))
    if kind == "one row alone":
        row = list(rows[1])
        row[rng.randrange(3)] = rng.choice(("", "3", "Training", " "))
        return (",".join(rows[0]) + "\n" + ",".join(row) + "\n").encode()
    if kind == "rows missing":
        keep = rng.randrange(3)
        return "".join(",".join(row) + "\n" for row in rows[: keep + 1]).encode()
    if kind == "blank lines":
        return text.replace("\n", "\n" + rng.choice((" \n", "\n\n", ",,\n", "\t\n"))).encode()
    return "\n".join(",".join(f'"{field}"' for field in row) for row in rows).encode()


def mutate(folder: Path, kind: str, rng: Random) -> Mutant:
    """Write a damaged icml_face_data.csv."""
    path = folder / "icml_face_data.csv"
    rows = [list(row) for row in sound_rows()]
    if kind in ROW_KINDS:
        line, refused = bad_row(rows, kind, rng)
        path.write_bytes("\n".join(map(",".join, rows)).encode() + b"\n")
        return Mutant(path, (f", line {line}: ",), refused)
    content = whole_file(rows, kind, rng) if kind in FILE_KINDS else DAMAGES[kind](whole_file(rows, "", rng), rng)
    if kind not in FILE_KINDS:
        content = content.replace(b'"', b"") if rng.random() < 0.5 else content
    path.write_bytes(content)
    return Mutant(path)


def read(mutant: Mutant) -> None:
    """Parse it; what is accepted must be what a plain reading of the text gives."""
    try:
        splits = read_csv(find_csv(mutant.path.parent))
    except InputError as error:
        assert ", line " in str(error) or "holds no faces" in str(error), f"no line is named: {error}"
        raise
    assert splits.faces.dtype == np.uint8 and splits.faces.shape[1:] == (48, 48)
    assert len(splits.faces) == len(splits.labels) == sum(splits.counts)
    assert read_independently(mutant.path.read_bytes()) == listed(splits)


def listed(splits: Splits) -> list[tuple[int, int, list[int]]]:
    """Split, label and pixels of every row, in order."""
    numbers = [split for split, count in enumerate(splits.counts) for _ in range(count)]
    rows = zip(numbers, splits.labels.tolist(), splits.faces.reshape(-1, 2304).tolist(), strict=True)
    return list(rows)


def read_independently(content: bytes) -> list[tuple[int, int, list[int]]]:
    """The independent reading: Python's own int, one number at a time. Any error here means it should be refused."""
    header, *lines = content.decode("utf-8-sig", "surrogateescape").split("\n")
    names = [name.strip(' "\t\r').lower() for name in header.split(",")]
    places = [names.index(name) for name in ("usage", "emotion", "pixels")]
    rows = []
    for line in lines:
        if not line.strip(" \t\r\x0b\x0c"):
            continue
        usage, label, pixels = (line.split(",")[place].strip(' "\t\r') for place in places)
        numbers = [int(number) for number in pixels.split()]
        assert len(numbers) == 2304 and min(numbers) >= 0 and max(numbers) <= 255 and pixels.isascii()
        assert label in tuple("0123456")
        rows.append((USAGES.index(usage), int(label), numbers))
    return sorted(rows, key=lambda row: row[0])


FAMILY = Family("csv", (*ROW_KINDS, *FILE_KINDS, *DAMAGES, "a pixel", "a label"), mutate, read)
