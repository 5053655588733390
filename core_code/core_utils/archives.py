"""Zip and tar archives of which every reader sees the same: anything that could be read in two ways is refused."""

import struct
import zipfile
from typing import BinaryIO

LOCAL = struct.Struct("<4s5H3I2H")  # PKWARE's APPNOTE 4.3.7: signature, ..., lengths of name and extra field
CENTRAL_LENGTHS = struct.Struct("<3H")  # of name, extra field and comment, 28 bytes into an entry of 46
END = struct.Struct("<4s4H2IH")  # 4.3.16: signature, disks, entries here and in all, directory's size, place, comment
END_64 = struct.Struct("<4sQ2H2I4Q")  # 4.3.14
LOCATOR_64 = struct.Struct("<4sIQI")  # 4.3.15: signature, disk, place of END_64, disks
STREAMED, DESCRIPTOR = 8, 24  # flag of an entry whose sizes follow its content, in at most so many bytes
BLOCK = 512  # of a tar
TAR_NAME, TAR_SIZE, TAR_CHECKSUM, TAR_KIND = slice(0, 100), slice(124, 136), slice(148, 156), 156  # POSIX ustar


def check_zip(file: BinaryIO, archive: zipfile.ZipFile) -> None:
    """Raise ValueError unless the entries stand one after the other from the first byte on, each with the sizes that
    the directory says, the one directory behind them, and its end at the file's.

    Readers differ in which of two directories, or of two sizes, they take.
    """
    entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    if len({entry.filename.lower() for entry in entries}) < len(entries):
        raise ValueError("two entries of one name")
    end, gap = 0, 0
    for entry in entries:
        if not end <= entry.header_offset <= end + gap:
            raise ValueError("something between its entries, or two that overlap")
        file.seek(entry.header_offset)
        _, _, flags, method, _, _, checksum, packed, unpacked, *lengths = LOCAL.unpack(file.read(LOCAL.size))
        sizes = (entry.CRC, entry.compress_size, entry.file_size)
        gap = DESCRIPTOR if flags & STREAMED else 0
        if (flags, method) != (entry.flag_bits, entry.compress_type) or (
            not gap and sizes != (checksum, packed, unpacked)
        ):
            raise ValueError("an entry differs from what the directory says of it")
        end = entry.header_offset + LOCAL.size + sum(lengths) + entry.compress_size
    if not end <= archive.start_dir <= end + gap:
        raise ValueError("something between its entries and their directory")
    check_end(file, archive.start_dir, len(entries))


def check_end(file: BinaryIO, start: int, count: int) -> None:
    """Raise ValueError unless a zip's directory of so many entries is at `start`, and its own end alone, which says the
    same, follows it."""
    file.seek(start)
    rest, size = file.read(), 0
    for _ in range(count):
        size += 46 + sum(CENTRAL_LENGTHS.unpack_from(rest, size + 28))
    rest = rest[size:]
    told = {count, 0xFFFF}, {size, 0xFFFFFFFF}, {start, 0xFFFFFFFF}
    if len(rest) == END_64.size + LOCATOR_64.size + END.size:
        signature, _, _, _, _, _, _, *values = END_64.unpack_from(rest)
        place = LOCATOR_64.unpack_from(rest, END_64.size)[2]
        if signature != b"PK\6\6" or (*values, place) != (count, size, start, start + size):
            raise ValueError("two directories")
        rest = rest[-END.size :]
    else:
        told = {count}, {size}, {start}
    if len(rest) != END.size or END.unpack(rest)[0] != b"PK\5\6" or END.unpack(rest)[-1]:
        raise ValueError("something behind its directory")
    if not all(value in allowed for value, allowed in zip(END.unpack(rest)[4:7], told, strict=True)):
        raise ValueError("two directories")


def tar_members(content: bytes) -> list[tuple[str, bytes]]:
    """Names and contents of a tar's files. Raises ValueError unless all members are plain files of short names, with
    right checksums, and two blocks of zeros end them.

    Long names, sparse files and extended headers, which chain and change what follows, are refused.
    """
    files: list[tuple[str, bytes]] = []
    at = 0
    while (header := content[at : at + BLOCK]).strip(b"\0"):
        start = at + BLOCK
        size = number(header[TAR_SIZE]) if len(header) == BLOCK else -1
        total = sum(header) - sum(header[TAR_CHECKSUM]) + 8 * ord(" ")
        if size < 0 or number(header[TAR_CHECKSUM]) != total:
            raise ValueError(f"a damaged or truncated tar (after {len(files)} files)")
        if header[TAR_KIND : TAR_KIND + 1] not in (b"0", b"\0"):
            raise ValueError(f"a tar of more than plain files (after {len(files)})")
        if start + size > len(content):
            raise ValueError(f"a truncated tar (after {len(files)} files)")
        name = header[TAR_NAME].partition(b"\0")[0].decode("utf-8", "surrogateescape")
        files.append((name, content[start : start + size]))
        at = start + -(-size // BLOCK) * BLOCK
    if content[at : at + 2 * BLOCK] != bytes(2 * BLOCK):
        raise ValueError(f"a damaged or truncated tar (after {len(files)} files)")
    return files


def number(field: bytes) -> int:
    """An octal number of a tar's header; -1 for anything else, such as GNU's binary numbers."""
    digits = field.strip(b" \0")
    return int(digits, 8) if digits and not digits.strip(b"01234567") else -1
