"""Archives that two readers could read in two ways are refused; those of torch, zipfile and tar are read."""

import io
import struct
import tarfile
import zipfile

import pytest
import torch

from core_code.core_utils.archives import check_zip, tar_members
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import load_weights

SOUND = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(3)}


def saved(value: dict, **options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def rezipped(content: bytes, *more: tuple[str, bytes], comment: bytes = b"") -> bytes:
    """The entries in a new archive, and more."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        for name, held in more:
            new.writestr(name, held)
        new.comment = comment
    return buffer.getvalue()


def with_local(content: bytes, at: int, kind: str, value: int) -> bytes:
    """The first entry's own header says something else than the directory."""
    return content[:at] + struct.pack(kind, value) + content[at + struct.calcsize(kind) :]


def with_gap(content: bytes) -> bytes:
    """Another directory, whose entry is the first's, between the entries and the real directory."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.start_dir
    hidden = content[start:]
    end = bytearray(content[start:])
    struct.pack_into("<I", end, len(end) - 6, start + len(hidden))
    return content[:start] + hidden + end


PLAIN = rezipped(saved(SOUND))
TWO = PLAIN + PLAIN
HOSTILE = {
    "appended": TWO,
    "prepended": b"PK\x03\x04" + PLAIN,
    "a directory before the directory": with_gap(PLAIN),
    "something behind": PLAIN + b"x",
    "a comment": rezipped(saved(SOUND), comment=b"PK\x05\x06" + bytes(18)),
    "another checksum": with_local(PLAIN, 14, "<I", 7),
    "another size": with_local(PLAIN, 22, "<I", 7),
    "another method": with_local(PLAIN, 8, "<H", 8),
    "a name twice": rezipped(saved(SOUND), ("archive/DATA.pkl", b"\x80\x02}.")),
    "torch's own, a directory elsewhere": with_local(saved(SOUND), len(saved(SOUND)) - 98 + 48, "<Q", 0),
    "torch's own, its end elsewhere": with_local(saved(SOUND), len(saved(SOUND)) - 42 + 8, "<Q", 0),
    "torch's own, two directories": with_local(saved(SOUND), len(saved(SOUND)) - 6, "<I", 0),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_zip_of_two_meanings_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.pth: not a readable weights file"):
        load_weights(path, "weights file")


@pytest.mark.parametrize(
    "content", [saved(SOUND), PLAIN, saved(SOUND, _use_new_zipfile_serialization=False)], ids=["torch", "zip", "old"]
)
@pytest.mark.parametrize("name", ["w.pth", "w.pth.tar", "w.tar", "w"])
def test_a_sound_file_is_read_under_any_name(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    read = load_weights(tmp_path / name, "weights file")
    assert read.keys() == SOUND.keys() and all(torch.equal(read[key], SOUND[key]) for key in SOUND)


def test_the_tar_format_of_torch_before_0_1_10_is_refused_in_one_line(tmp_path):
    with tarfile.open(tmp_path / "old.tar", "w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(InputError, match=r"old\.tar: not a readable weights file"):
        load_weights(tmp_path / "old.tar", "weights file")


def test_zips_of_other_writers_pass(tmp_path):
    for streamed in (False, True):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for number in range(3):
                if streamed:
                    buffer.seekable = lambda: False
                archive.writestr(f"{number}", b"x" * number)
        with zipfile.ZipFile(io.BytesIO(buffer.getvalue())) as archive:
            check_zip(io.BytesIO(buffer.getvalue()), archive)


FILES = {f"{number}_0.png": bytes([number]) * (number * 300) for number in range(5)}


def tar_of(format: int = tarfile.USTAR_FORMAT, **changes: object) -> bytes:
    """A tar of FILES, one of whose headers is changed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for number, (name, content) in enumerate(FILES.items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items() if number == 2 else ():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def with_header(field: slice, value: bytes) -> bytes:
    """The first header with a field changed and a right checksum."""
    content = bytearray(tar_of())
    content[field] = value
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    return bytes(content)


def chained(kind: bytes, times: int) -> bytes:
    """Headers that say that the next one's name is long, again and again."""
    return with_header(slice(156, 157), kind)[:1024] * times + tar_of()


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_a_tar_of_plain_files_is_read(format):
    content = tar_of(format)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert {name: tar.extractfile(name).read() for name in tar.getnames()} == FILES
    assert tar_members(content) == list(FILES.items())
    assert tar_members(bytes(10_240)) == []


@pytest.mark.parametrize(
    "content, said",
    {
        "a negative size": (with_header(slice(124, 136), b"\xff" * 12), "damaged"),
        "a negative octal": (with_header(slice(124, 136), b"-0000000777\0"), "damaged"),
        "a large size": (with_header(slice(124, 136), b"77777777777\0"), "truncated"),
        "a binary size": (with_header(slice(124, 136), b"\x80" + bytes(10) + b"\1"), "damaged"),
        "an empty size": (with_header(slice(124, 136), bytes(12)), "damaged"),
        "a sparse file": (with_header(slice(156, 157), b"S"), "more than plain files"),
        "long names": (chained(b"L", 2000), "more than plain files"),
        "long links": (chained(b"K", 2000), "more than plain files"),
        "pax": (tar_of(tarfile.PAX_FORMAT, pax_headers={"size": "-1"}), "more than plain files"),
        "a name of 300": (tar_of(tarfile.GNU_FORMAT, name="x" * 300), "more than plain files"),
        "a link": (tar_of(type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0), "more than plain files"),
        "a checksum": (b"x" + tar_of()[1:], "damaged"),
        "cut": (tar_of()[:3000], "damaged or truncated|truncated"),
        "no end": (tar_of()[:-10_240], "truncated"),
        "text": (b"hello\n" * 1000, "damaged or truncated"),
        "nothing": (b"", "damaged or truncated"),
    }.values(),
)
def test_other_tars_are_refused(content, said):
    with pytest.raises(ValueError, match=said):
        tar_members(content)
