"""Faces followed from search to search: numbers, boxes in between, and what is held back."""

from core_code.core_utils.photos.face_finder import Box
from core_code.core_utils.photos.face_tracker import PATIENCE, follow, match, overlap


def square(x: float, y: float = 100, side: int = 80) -> Box:
    return Box(round(x), round(y), round(x) + side, round(y) + side)


def tracked(found: dict[int, list[Box]], count: int, every: int) -> list[dict[int, Box]]:
    """The boxes of each of `count` frames, where a search of a frame finds what `found` has for it."""
    groups = list(follow(range(count), lambda place: found.get(place, []), every))
    assert [place for group in groups for place, _ in group] == list(range(count))
    return [boxes for group in groups for _, boxes in group]


def test_overlap_is_intersection_over_union():
    one, other = Box(0, 0, 10, 10), Box(5, 5, 15, 25)
    cells = [{(x, y) for x in range(b.left, b.right) for y in range(b.top, b.bottom)} for b in (one, other)]
    assert overlap(one, other) == len(cells[0] & cells[1]) / len(cells[0] | cells[1])
    assert overlap(one, Box(10, 0, 20, 10)) == 0 and overlap(one, one) == 1


def test_two_faces_keep_their_numbers_while_they_move_whatever_the_order_in_which_they_are_found():
    places = range(0, 21, 4)
    found = {place: [square(400 - 5 * place), square(100 + 5 * place)][:: -1 if place % 8 else 1] for place in places}
    for place, boxes in enumerate(tracked(found, 21, every=4)):
        assert boxes == {1: square(400 - 5 * place), 2: square(100 + 5 * place)}


def test_boxes_between_two_searches_move_and_grow_evenly():
    boxes = tracked({0: [Box(0, 0, 40, 40)], 4: [Box(20, 8, 80, 68)]}, 5, every=4)
    assert [each[1] for each in boxes] == [
        Box(0, 0, 40, 40), Box(5, 2, 50, 47), Box(10, 4, 60, 54), Box(15, 6, 70, 61), Box(20, 8, 80, 68)
    ]  # fmt: skip


def test_the_last_frame_is_searched_too():
    boxes = tracked({0: [square(0)], 3: [square(6)], 5: [square(10)]}, 6, every=3)
    assert [each[1].left for each in boxes] == [0, 2, 4, 6, 8, 10]


def test_a_face_that_is_missed_for_a_while_keeps_its_number_and_its_boxes_are_filled_in():
    boxes = tracked({0: [square(0)], 2 * PATIENCE: [square(12)]}, 2 * PATIENCE + 1, every=2)
    assert [set(each) for each in boxes] == [{1}] * (2 * PATIENCE + 1)
    assert [each[1].left for each in boxes] == [round(12 * place / (2 * PATIENCE)) for place in range(2 * PATIENCE + 1)]


def test_a_face_that_was_away_longer_or_comes_back_elsewhere_is_a_new_one():
    late = 2 * (PATIENCE + 1)
    boxes = tracked({0: [square(0)], late: [square(0)]}, late + 1, every=2)
    assert [set(each) for each in boxes] == [{1}, *[set()] * (late - 1), {2}]
    assert [set(each) for each in tracked({0: [square(0)], 1: [square(300)]}, 2, every=1)] == [{1}, {2}]


def test_each_found_box_goes_to_the_face_that_it_overlaps_most():
    known = {1: square(0), 2: square(50)}
    assert match(known, [square(40), square(-10)]) == {0: 2, 1: 1}
    assert match(known, [square(30)]) == {0: 2}
    assert match({}, [square(0)]) == {} and match(known, []) == {}


def test_few_frames_are_held_back():
    read = []

    def frames():
        for place in range(200):
            read.append(place)
            yield place

    done = 0
    for group in follow(frames(), lambda place: [square(0)] if place % 30 == 0 else [], every=5):
        done += len(group)
        assert len(read) - done <= PATIENCE * 5 + 1
    assert done == 200
