"""Clips: frames out of a file or a camera, one after the other, and frames into a file. PyAV does the work."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from core_code.core_utils.errors import InputError

# What stands at which byte of a clip's file. The first four bytes of MP4 and QuickTime are a length.
SIGNATURES = (
    (4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"wide"), (0, b"\x1aE\xdf\xa3"), (8, b"AVI "), (0, b"FLV\x01"),
    (0, b"OggS"), (0, b"0&\xb2u\x8ef\xcf\x11"), (0, b"\x00\x00\x01\xba"), (0, b"\x00\x00\x01\xb3"),
    (188, b"G"), (0, b"YUV4MPEG2"),
)  # fmt: skip
STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")  # pictures in MP4's container
# Nothing else is opened: playlists, for one, lead to other files and addresses.
CONTAINERS = "mov,mp4,matroska,webm,avi,flv,ogg,asf,mpeg,mpegvideo,mpegts,yuv4mpegpipe"
CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}

LARGEST_PIXELS = 36_000_000  # of a frame; 8K has 33 million
USUAL_RATE = Fraction(25)  # frames a second where a clip does not tell
LONGEST_SECONDS = 1e7  # a time stamp beyond that is damaged
CLOCK = 90_000  # ticks a second of the clips that are written


class Frame(NamedTuple):
    """A frame: its place from 0 on, seconds from the clip's start, and pixels uint8 [H,W,3], upright, in RGB."""

    place: int
    time: float
    pixels: np.ndarray


def is_clip(path: Path) -> bool:
    """Whether a file's first bytes are those of a clip, whatever its name."""
    head = b""
    with suppress(OSError), open(path, "rb") as file:
        head = file.read(256)
    if head[4:8] == b"ftyp" and head[8:12] in STILL_BRANDS:
        return False
    transport_stream = head[:1] == b"G"  # a packet of MPEG-TS begins so, and so does the next, 188 bytes on
    return any(head[at : at + len(what)] == what and (at != 188 or transport_stream) for at, what in SIGNATURES)


def load_av() -> Any:
    """The module; it is loaded when a clip is read, not before."""
    try:
        import av
    except ImportError as error:
        raise InputError("clips and cameras need PyAV: pip install av") from error
    av.logging.set_level(av.logging.PANIC)
    return av


class ClipReader:
    """A clip or a camera that is open for reading, once, from its start; a context manager.

    name: in messages. rate: frames a second, on the average. seconds: how long it is, None where that is not known.
    damage: what could not be read, once the frames were.
    """

    def __init__(self, container: Any, name: str) -> None:
        self.container, self.name = container, name
        self.damage: str | None = None
        # A cover picture of a piece of music is a stream too, and one of an unknown codec has no context.
        streams = [each for each in container.streams.video
                   if each.codec_context and not each.disposition & type(each.disposition).attached_pic]  # fmt: skip
        if not streams:
            raise InputError(f"{name}: no video in it")
        self.stream = streams[0]
        self.stream.thread_type = "AUTO"
        context = self.stream.codec_context
        check_size(context.width, context.height, name)
        self.rate = Fraction(self.stream.average_rate or self.stream.guessed_rate or USUAL_RATE)
        self.rate = min(max(self.rate, Fraction(1)), Fraction(1000))
        self.start = (container.start_time or 0) / 1e6
        self.seconds: float | None = container.duration / 1e6 if container.duration else None  # of its longest stream
        if self.stream.duration and self.stream.time_base:
            self.seconds = float(self.stream.duration * self.stream.time_base)

    def __enter__(self) -> "ClipReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.container.close()

    def frame_count(self, seconds: float | None = None) -> int | None:
        """About how many frames there are in the first `seconds`, or in all; None where that is not known."""
        limits = [limit for limit in (seconds, self.seconds) if limit is not None]
        return round(min(limits) * self.rate) if limits else None

    def frames(self, seconds: float | None = None) -> Iterator[Frame]:
        """The frames, of the first `seconds` alone where they are given.

        Of a damaged clip those that can be decoded. Raises InputError for frames of more than LARGEST_PIXELS.
        """
        step = float(1 / self.rate)
        time, size, place = -step, None, -1
        for place, decoded in enumerate(self._decoded()):
            check_size(decoded.width, decoded.height, self.name)
            stamp = decoded.time - self.start if decoded.time is not None else time + step
            time = max(0.0, time, stamp if abs(stamp) < LONGEST_SECONDS else time + step)
            if seconds is not None and time >= seconds:
                return
            size = size or (decoded.width, decoded.height)
            pixels = decoded.to_ndarray(format="rgb24", width=size[0], height=size[1])
            yield Frame(place, time, np.ascontiguousarray(np.rot90(pixels, round(decoded.rotation / 90) % 4)))
        if place < 0:
            raise InputError(f"{self.name}: no frame of it can be read: truncated or damaged")
        if self.seconds and len(self.container.streams) == 1 and self.seconds - time > 0.5 + step:
            self.damage = self.damage or f"it is {self.seconds:.1f} s long"
        if self.damage:
            read = f"{place + 1} frames up to {time:.1f} s were read"
            self.damage = f"{self.name}: damaged or truncated, {read} ({self.damage})"

    def _decoded(self) -> Iterator[Any]:
        """Every frame that can be decoded; `damage` is the first error."""
        av = load_av()
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
            except (av.FFmpegError, IndexError) as error:  # IndexError: of a stream that was not there before
                self.damage = self.damage or getattr(error, "strerror", "another stream begins")
                return
            if packet.is_corrupt:
                self.damage = self.damage or "a part of it is missing"
            try:
                decoded = packet.decode()
            except av.FFmpegError as error:
                self.damage = self.damage or error.strerror
                continue
            yield from decoded


def check_size(width: int, height: int, name: str) -> None:
    """Raise InputError for a frame of more than LARGEST_PIXELS."""
    if width * height > LARGEST_PIXELS:
        raise InputError(f"{name}: frames of {width}x{height} pixels, expected at most {LARGEST_PIXELS} pixels")


def open_clip(path: Path) -> ClipReader:
    """Open a clip. Raises InputError for a missing PyAV, and for a file that is no clip or has no video."""
    av = load_av()
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file", "max_pixels": str(LARGEST_PIXELS)}
    try:  # "file:", so that libav takes no part of the name for a protocol
        return ClipReader(av.open(f"file:{path}", options=options, metadata_errors="replace"), str(path))
    except av.FFmpegError as error:
        raise InputError(f"{path}: not a readable clip (of no known format, damaged or truncated)") from error


def open_camera(number: int) -> ClipReader:
    """Open a camera by its number. Raises InputError for a missing PyAV, and where there is no such camera."""
    av = load_av()
    if sys.platform not in CAMERAS:
        raise InputError(f"--webcam {number}: cameras are read on Linux and macOS, not on {sys.platform}")
    kind, name = CAMERAS[sys.platform]
    try:
        return ClipReader(av.open(name.format(number), format=kind), f"--webcam {number}")
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"--webcam {number}: no such camera, or it is in use ({error.strerror})") from error


class ClipWriter:
    """An MP4 file in the making; a context manager, at whose end the file is whole."""

    def __init__(self, file: BinaryIO, rate: Fraction) -> None:
        self.av, self.file, self.rate = load_av(), file, rate
        self.last = -1

    def __enter__(self) -> "ClipWriter":
        self.container = self.av.open(self.file, "w", format="mp4")
        codec = "libx264" if "libx264" in self.av.codecs_available else "mpeg4"
        self.stream = self.container.add_stream(codec, rate=self.rate, pix_fmt="yuv420p")
        self.stream.codec_context.time_base = Fraction(1, CLOCK)
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is None and self.last >= 0:
            self.container.mux(self.stream.encode())
        self.container.close()

    def write(self, pixels: np.ndarray, time: float) -> None:
        """A frame uint8 [H,W,3] in RGB, shown from `time`, in seconds, on; all have the first one's size."""
        if self.last < 0:
            self.stream.height, self.stream.width = (max(2, side - side % 2) for side in pixels.shape[:2])
        frame = self.av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = frame.reformat(width=self.stream.width, height=self.stream.height, format="yuv420p")
        self.last = frame.pts = max(self.last + 1, round(time * CLOCK))
        frame.time_base = Fraction(1, CLOCK)
        self.container.mux(self.stream.encode(frame))
