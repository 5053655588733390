"""Faces followed through a clip: found every few frames, matched by overlap, their boxes interpolated in between."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import TypeVar

from core_code.core_utils.photos.face_finder import Box

Frame = TypeVar("Frame")
Tracked = tuple[Frame, dict[int, Box]]  # a frame, and the boxes of its faces by their number

SMALLEST_OVERLAP = 0.1  # of two boxes of one face: intersection over union; a box moved by four fifths of its side
PATIENCE = 3  # how many searches in a row a face is waited for


def follow(
    frames: Iterable[Frame], find: Callable[[Frame], Sequence[Box]], every: int = 1
) -> Iterator[list[Tracked[Frame]]]:
    """The frames, in order and in groups, each with its faces' boxes.

    `find` is called for the first, every `every`-th and the last frame. A face keeps its number, from 1 on, for as long
    as it is found again, at most PATIENCE searches later, where it overlaps its last box. Between two searches its box
    moves and grows evenly. At most PATIENCE * every + 1 frames are held back.
    """
    seen: dict[int, tuple[int, Box]] = {}  # the place of the frame in which each face was found last, and its box
    numbers = count(1)
    held: deque[Tracked[Frame]] = deque()
    place = -1

    def search() -> Iterator[list[Tracked[Frame]]]:
        """Find the faces of the last frame held; what is settled by that."""
        first = place + 1 - len(held)
        boxes = find(held[-1][0])
        known = match({number: box for number, (_, box) in seen.items()}, boxes)
        for i, box in enumerate(boxes):
            number = known[i] if i in known else next(numbers)
            since, before = seen.get(number, (place, box))
            for between in range(since + 1, place):
                held[between - first][1][number] = move(before, box, (between - since) / (place - since))
            held[-1][1][number] = box
            seen[number] = place, box
        for number in [number for number, (since, _) in seen.items() if place - since >= PATIENCE * every]:
            del seen[number]
        settled = min((since for since, _ in seen.values()), default=place)
        if settled >= first:
            yield [held.popleft() for _ in range(settled + 1 - first)]

    for place, frame in enumerate(frames):
        held.append((frame, {}))
        if place % every == 0:
            yield from search()
    if place % every:
        yield from search()
    if held:
        yield list(held)


def match(known: Mapping[int, Box], found: Sequence[Box]) -> dict[int, int]:
    """The number of the known face that each found box, by its place, overlaps most; none for a new face."""
    pairs = [(overlap(box, other), number, i) for number, box in known.items() for i, other in enumerate(found)]
    matched: dict[int, int] = {}
    for share, number, i in sorted(pairs, key=lambda pair: -pair[0]):
        if share >= SMALLEST_OVERLAP and i not in matched and number not in matched.values():
            matched[i] = number
    return matched


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    common = max(0, width) * max(0, height)
    return common / (one.width * one.height + other.width * other.height - common)


def move(one: Box, other: Box, share: float) -> Box:
    """The box that lies this share of the way from one to the other."""
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return Box(*(round(start + share * (end - start)) for start, end in pairs))
