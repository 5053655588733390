"""FER2013 in a parquet file, damaged: as bytes, and by cells, columns and metadata that no data set has."""

import io
import json
from typing import Any

import numpy as np
from family import Family, Mutant
from mutations import DAMAGES, ODD_VALUES, Random
from PIL import Image
from small_faces import smooth_faces

from core_code.datasets.parquet import find_parquet, load_parquet

ROWS = 5
PACKINGS = ("none", "snappy", "gzip", "zstd", "brotli", "lz4")
FORMS = ("image", "text", "list", "rows")
EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
ODD_INFO: tuple[Any, ...] = (
    b"", b"null", b"[]", b"{", b"\xff", b'{"info": null}', b'{"info": []}', b'{"info": {"features": [1]}}',
    b'{"info": {"features": {"label": null}}}', b'{"info": {"features": {"label": {"names": 3}}}}',
    b'{"info": {"features": {"label": {"names": [[], {}, null, 1, 2, 3, 4]}}}}', b"[" * 100_000, b"9" * 5000,
)  # fmt: skip
ODD_CELLS: tuple[Any, ...] = (
    None, b"", "", b"\x89PNG\r\n\x1a\n", "1 2 3", "-1 " * 2304, "\ud7ff" * 10, [], [[]], [[1], [2, 3]], [None] * 2304,
    [256] * 2304, [-1] * 2304, [0.5] * 2304, [[0] * 48] * 47, {"bytes": None, "path": None}, {"bytes": b"x" * 100_000},
    {"path": "Training_1.jpg"}, {"bytes": [1, 2]}, 1, 1.5, True, [["a"] * 48] * 48, ["1"] * 2304, [[[1] * 48] * 48],
)  # fmt: skip
ODD_LABELS = (None, 7, -1, 1.5, 3.0, True, "happy", "Happy", "", "٣", "²", "3.0", 2**62, b"3", [3], {"a": 3}, 1e300)


def content_of(face: np.ndarray, form: str) -> Any:
    """A face as a cell."""
    if form == "image":
        file = io.BytesIO()
        Image.fromarray(face).save(file, "PNG")
        return {"bytes": file.getvalue(), "path": "Training_1.png"}
    values = face.tolist()
    return {"text": " ".join(map(str, face.ravel())), "list": face.ravel().tolist(), "rows": values}[form]


def mutate(folder, kind: str, rng: Random) -> Mutant:
    """Write a damaged train.parquet."""
    import pyarrow
    import pyarrow.parquet

    path, form = folder / "train.parquet", rng.choice(FORMS)
    pixels = [content_of(face, form) for face in smooth_faces(ROWS)]
    columns: dict[str, list] = {"image" if form == "image" else "pixels": pixels, "label": [0, 3, 6, 1, 2]}
    (face_column, _), info = (
        columns.items(),
        json.dumps({"info": {"features": {"label": {"names": EMOTIONS}}}}).encode(),
    )
    name = face_column[0]
    if kind == "odd cells":
        columns[name] = [rng.choice(ODD_CELLS)] * ROWS
    elif kind == "odd labels":
        columns["label"] = [rng.choice(ODD_LABELS)] * ROWS
    elif kind == "odd splits":
        columns["split"] = [rng.choice((*ODD_LABELS, "train", "Training", "x" * 100_000))] * ROWS
    elif kind == "odd columns":
        odd = rng.choice((name.upper(), "", "a\nb", "\x1b[2J", "x" * 100_000, "LABEL", "emotion", "img_bytes"))
        columns[odd] = columns[name] if rng.random() < 0.5 else [rng.choice(ODD_CELLS)] * ROWS
        del columns[rng.choice(list(columns))]
    elif kind == "no rows":
        columns = {key: [] for key in columns}
    table = pyarrow.table(columns)
    if kind == "two columns of a name":
        table = table.append_column(rng.choice(table.column_names), table.column(rng.randrange(2)))
    if kind == "odd information":
        info = rng.choice(ODD_INFO) if rng.random() < 0.5 else json.dumps({"info": {"features": {"label": {
            "names": rng.choice(ODD_VALUES)}}}}).encode()  # fmt: skip
    if kind == "odd schema":
        table = table.replace_schema_metadata({"huggingface": info, "ARROW:schema": rng.randbytes(300), "pandas": b"{"})
    else:
        table = table.replace_schema_metadata({"huggingface": info} if rng.random() < 0.7 else {})
    file = io.BytesIO()
    pyarrow.parquet.write_table(
        table, file, compression=rng.choice(PACKINGS), use_dictionary=rng.random() < 0.5,
        row_group_size=rng.choice((1, 2, ROWS)), store_schema=rng.random() < 0.7,
        data_page_version=rng.choice(("1.0", "2.0")), write_page_checksum=rng.random() < 0.3,
    )  # fmt: skip
    path.write_bytes(DAMAGES[kind](file.getvalue(), rng) if kind in DAMAGES else file.getvalue())
    return Mutant(path, refused=kind == "no rows")


def read(mutant: Mutant) -> None:
    """Load it; what is accepted must be what a plain reading of the cells gives."""
    import pyarrow.parquet

    splits = load_parquet(mutant.path.parent, find_parquet(mutant.path.parent))
    rows = pyarrow.parquet.ParquetFile(mutant.path).read().to_pylist()
    assert len(splits.faces) == len(splits.labels) == len(rows) and splits.labels.max() <= 6
    for row, face in zip(rows, splits.faces.reshape(len(rows), 48, 48), strict=True):
        cells = {name.lower(): cell for name, cell in row.items()}
        expected = [plain(cells[name]) for name in ("image", "img_bytes", "pixels") if name in cells]
        assert any(np.array_equal(face, one) for one in expected)


def plain(cell: Any) -> np.ndarray | None:
    """One face's pixels, one by one; None where it is no face."""
    cell = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(cell, bytes):
        with Image.open(io.BytesIO(cell)) as image:
            return np.asarray(image.convert("L"))
    values = [int(word) for word in cell.split()] if isinstance(cell, str) else cell
    return np.array(values).reshape(48, 48) if np.size(values) == 2304 else None


ODD = ("odd cells", "odd labels", "odd splits", "odd columns", "odd information", "odd schema", "no rows",
       "two columns of a name")  # fmt: skip
FAMILY = Family("parquet", (*ODD, *DAMAGES), mutate, read)
