"""Editing photographs: what changes, what stays, what is written, and what is said of bad input."""

import sys
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image
from scenes import background, sample_face, scene

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.photos.face_finder import Box, crop_box
from core_code.core_utils.photos.photographs import Photograph, cut, read_photograph
from EmotionGAN import photographs
from EmotionGAN.edit.__main__ import main
from EmotionGAN.edit.album import luminance_changes
from EmotionGAN.editor import Editor, save_generator
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.generator import build_generator
from EmotionGAN.photographs import add_changes, generator_view
from EmotionGAN.walk import LEG_FRAMES, shortest_round, walk

GREY = np.array([0.299, 0.587, 0.114])
FACE = Box(237, 185, 392, 340)  # where dlib finds the scene's face


def luminance(picture):
    return np.asarray(picture, dtype=np.float64)[..., :3] @ GREY


@pytest.fixture
def found(monkeypatch):
    """A face finder that finds the given boxes, so that what follows needs no dlib."""

    def find(*boxes):
        monkeypatch.setattr("core_code.core_utils.photos.photographs.find_faces", lambda picture, where: list(boxes))

    find(FACE)
    return find


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(scene()).save(path)
    return path


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """An untrained small linear generator's folder."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("linear")
    config = GeneratorConfig("linear", image_size=32, colours="BGR", width=8, blocks=1, framing="dlib")
    save_generator(folder, build_generator(config))
    return folder


def edit(photo, *arguments):
    main([str(photo), "--device", "cpu", "--precision", "fp32", *map(str, arguments)])


def error_of(capsys, photo, *arguments):
    """The last line on stderr of a command that ends with status 2."""
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: edit(photo, *arguments))
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip()
    assert "Traceback" not in said
    return said.splitlines()[-1]


def by_hand(face, emotion):
    """The shipped generator's change of a grey face float [48,48], in grey levels, written out again."""
    editor = Editor.load(None, torch.device("cpu"))
    image = torch.from_numpy(face)[None, None].float() / 127.5 - 1
    with torch.no_grad():
        edited = editor.generator(image, editor.space.centres[[EMOTIONS.index(emotion)]])[0]
    return (127.5 * (edited - image))[0, 0].numpy()


def test_a_real_detector_and_the_shipped_generator_edit_a_scene(photo, capsys):
    pytest.importorskip("dlib")
    edit(photo, "--emotion", "happy")
    result = np.array(Image.open(photo.with_name("photo_Happy.png")))
    change = np.abs(result.astype(int) - scene())
    assert change.any() and not change[:, :190].any() and not change[:100].any()
    assert change[170:330, 240:390].mean() > 2
    assert "face 1: " in capsys.readouterr().out


def test_outside_the_crop_nothing_changes_and_at_its_middle_what_the_generator_says(photo, found):
    edit(photo, "--emotion", "Surprise")
    source, result = scene(), np.array(Image.open(photo.with_name("photo_Surprise.png")))
    crop = crop_box(FACE, "fer2013")
    outside = np.ones(source.shape[:2], dtype=bool)
    outside[crop.top : crop.bottom, crop.left : crop.right] = False
    assert (result[outside] == source[outside]).all()
    part = luminance(source)[crop.top : crop.bottom, crop.left : crop.right]
    small = np.array(Image.fromarray(part.astype(np.float32)).resize((48, 48), Image.Resampling.BILINEAR))
    change = Image.fromarray(by_hand(small, "Surprise").astype(np.float32))
    enlarged = change.resize((crop.width, crop.height), Image.Resampling.BICUBIC)
    expected = np.array(enlarged.resize((48, 48), Image.Resampling.BOX))
    got = (luminance(result) - luminance(source))[crop.top : crop.bottom, crop.left : crop.right]
    back = np.array(Image.fromarray(got.astype(np.float32)).resize((48, 48), Image.Resampling.BOX))
    middle = slice(16, 32)
    assert np.abs(expected[middle, middle]).max() > 10
    assert np.abs(back - expected)[middle, middle].mean() < 0.05 * np.abs(expected[middle, middle]).mean() + 0.5
    assert np.corrcoef(back[middle, middle].ravel(), expected[middle, middle].ravel())[0, 1] > 0.98


def test_strength_scales_the_change_and_none_leaves_the_photo(photo, found, tmp_path):
    results = {}
    for strength in (0, 0.5, 1):
        edit(photo, "--emotion", "Angry", "--strength", strength, "--output", tmp_path / f"{strength}.png")
        results[strength] = luminance(Image.open(tmp_path / f"{strength}.png"))
    source = luminance(scene())
    assert (np.array(Image.open(tmp_path / "0.png")) == scene()).all()
    strongest = np.array(Image.open(tmp_path / "1.png"))
    inside = ((strongest > 0) & (strongest < 255)).all(axis=2)  # elsewhere a channel may have met its end
    assert inside.mean() > 0.99
    assert ((results[0.5] - source) * 2)[inside] == pytest.approx((results[1] - source)[inside], abs=2.5)
    assert np.abs(results[1] - source).max() > 10


def test_no_box_is_seen(photo, found):
    """Along the crop's border the step from pixel to pixel is the photo's own, and farther in it stays small."""
    edit(photo, "--emotion", "Disgust", "--strength", "2")
    source, result = luminance(scene()), luminance(Image.open(photo.with_name("photo_Disgust.png")))
    crop = crop_box(FACE, "fer2013")

    def steps(picture, side):
        rows, columns = slice(crop.top, crop.bottom), slice(crop.left, crop.right)
        return {
            "left": lambda: picture[rows, crop.left - 2 : crop.left + 3],
            "right": lambda: picture[rows, crop.right - 3 : crop.right + 2],
            "top": lambda: picture[crop.top - 2 : crop.top + 3, columns].T,
            "bottom": lambda: picture[crop.bottom - 3 : crop.bottom + 2, columns].T,
        }[side]()

    for side in ("left", "right", "top", "bottom"):
        before = np.abs(np.diff(steps(source, side), axis=1))
        after = np.abs(np.diff(steps(result, side), axis=1))
        assert after.max() <= before.max() + 1.5 and after.mean() <= before.mean() + 0.1


def test_a_crop_that_fills_the_picture_is_the_generators_own_edit(tmp_path):
    face = sample_face(8)
    Image.fromarray(face).save(tmp_path / "face.png")
    edit(tmp_path / "face.png", "--emotion", "Happy", "--face_detector", "none")
    result = Image.open(tmp_path / "face_Happy.png")
    assert result.mode == "L" and result.size == (48, 48)
    expected = face + by_hand(face, "Happy")
    assert np.abs(np.array(result) - expected.clip(0, 255)).max() <= 0.51


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_size_mode_and_transparency_are_kept(tmp_path, found, mode):
    image = Image.fromarray(scene()).convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(np.tile(np.arange(640) % 256, (480, 1)).astype(np.uint8)))
    image.save(tmp_path / "photo.png")
    edit(tmp_path / "photo.png", "--x", "0.3", "--y", "-0.5")
    result = Image.open(tmp_path / "photo_x0.3_y-0.5.png")
    assert (result.mode, result.size) == (mode, (640, 480))
    assert (np.array(result) != np.array(image)).any()
    if "A" in mode:
        assert (np.array(result.getchannel("A")) == np.array(image.getchannel("A"))).all()


def test_colours_stay_what_gets_darker_or_brighter():
    red = np.full((40, 40, 3), (200, 100, 50), dtype=np.uint8)
    for change in (-60.0, 30.0):
        small = np.full((8, 8), change, dtype=np.float32)
        edited = add_changes(Photograph(red), [Box(0, 0, 40, 40)], [small]).pixels
        assert luminance(edited) - luminance(red) == pytest.approx(np.full((40, 40), change), abs=0.6)
    darker = add_changes(Photograph(red), [Box(0, 0, 40, 40)], [np.full((8, 8), -60.0)]).pixels[20, 20]
    assert darker / darker[0] == pytest.approx([1, 0.5, 0.25], abs=0.01)
    black = add_changes(Photograph(red), [Box(0, 0, 40, 40)], [np.full((8, 8), -999.0)]).pixels
    assert not black.any()


def test_crops_over_the_border_repeat_the_edge_and_add_up_where_they_meet():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    assert cut(pixels, Box(-2, -1, 3, 2))[:, :, 0].tolist() == [[0, 0, 0, 1, 2], [0, 0, 0, 1, 2], [4, 4, 4, 5, 6]]
    grey = Photograph(np.full((60, 60, 1), 100, dtype=np.uint8))
    change = np.full((8, 8), 20.0)
    corner = add_changes(grey, [Box(-20, -20, 40, 40)], [change]).pixels[:, :, 0]
    assert corner[0, 0] == 120 and corner[10, 10] == 120  # no fading at the picture's own border
    assert corner[39, 10] == 100 and corner[45, 45] == 100
    twice = add_changes(grey, [Box(0, 0, 60, 60)] * 2, [change, change]).pixels
    assert (twice == 140).all()


def test_a_photograph_is_edited_in_strips(monkeypatch):
    """The same pixels whatever the strips' height, and little memory beside the photograph's copy."""
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 256, (500, 400, 3), dtype=np.uint8)
    crops = [Box(-30, -20, 250, 260), Box(150, 100, 420, 370), Box(10, 490, 40, 520), Box(500, 500, 600, 600)]
    changes = [rng.normal(0, 40, (16, 16)) for _ in crops]
    whole = add_changes(Photograph(pixels), crops, changes).pixels
    assert (whole != pixels).any() and (whole[370:490] == pixels[370:490]).all()
    for rows in (1, 7, 499):
        monkeypatch.setattr(photographs, "STRIP", rows * 400)
        assert (add_changes(Photograph(pixels), crops, changes).pixels == whole).all()
    monkeypatch.setattr(photographs, "STRIP", 1 << 16)
    large = np.zeros((2000, 2000, 3), dtype=np.uint8)
    tracemalloc.start()
    add_changes(Photograph(large), [Box(0, 0, 2000, 2000)], [np.full((16, 16), 9.0)])
    assert tracemalloc.get_traced_memory()[1] < large.nbytes + (12 << 20)
    tracemalloc.stop()


def test_a_change_is_enlarged_as_pillow_does(monkeypatch):
    change = np.random.default_rng(5).normal(0, 60, (12, 12)).astype(np.float32)
    grey = Photograph(np.full((90, 70, 1), 128, dtype=np.uint8))
    edited = add_changes(grey, [Box(0, 0, 70, 90)], [change]).pixels[:, :, 0]
    bicubic = np.array(Image.fromarray(change).resize((70, 90), Image.Resampling.BICUBIC))
    expected = np.where(bicubic < 0, 128 * (128 + bicubic).clip(0) / 128, 128 + bicubic)
    assert np.abs(edited - expected.clip(0, 255)).max() <= 0.51  # no fading: all sides are the picture's own


def test_a_crop_of_many_pixels_is_seen_as_it_is(monkeypatch):
    faces = np.array(Image.fromarray(scene()).resize((640, 480)))
    config = GeneratorConfig(image_size=16, colours="grey")
    seen = generator_view(faces, config)
    monkeypatch.setattr(photographs, "STRIP", 1 << 14)
    assert (generator_view(faces, config) - seen).abs().mean() < 0.01


def test_the_photo_is_turned_upright_and_its_colour_profile_kept(tmp_path, found):
    upright = Image.fromarray(scene())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    profile = b"a colour profile"
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif, icc_profile=profile)
    assert (read_photograph(tmp_path / "turned.png").pixels == scene()).all()
    edit(tmp_path / "turned.png", "--emotion", "Sad", "--strength", "0")
    result = Image.open(tmp_path / "turned_Sad.png")
    assert (np.array(result) == scene()).all() and not result.getexif()
    assert result.info["icc_profile"] == profile


def test_one_of_several_faces(tmp_path, found):
    found(Box(50, 70, 200, 220), Box(400, 80, 560, 240))
    Image.fromarray(scene([(125, 150), (480, 160)])).save(tmp_path / "two.jpg", quality=95)
    source = np.array(Image.open(tmp_path / "two.jpg")).astype(int)
    edit(tmp_path / "two.jpg", "--emotion", "Happy", "--face", "2")
    change = np.abs(np.array(Image.open(tmp_path / "two_Happy.png")) - source)
    assert not change[:, :320].any() and change[:, 320:].any()
    edit(tmp_path / "two.jpg", "--emotion", "Happy", "--output", tmp_path / "both.jpg")
    both = Image.open(tmp_path / "both.jpg")
    assert both.format == "JPEG" and np.abs(np.array(both) - source)[:, :320].max() > 10


def test_a_sheet_of_the_seven_emotions(photo, found, capsys):
    edit(photo, "--sheet")
    sheet = np.array(Image.open(photo.with_name("photo_emotions.png")))
    assert "8 pictures" in capsys.readouterr().out
    # eight cells between white gaps: two rows of four
    white = (sheet == 255).all(axis=2)
    columns = np.flatnonzero(np.diff(np.r_[0, ~white[60], 0]))
    assert len(columns) == 8  # a start and an end for each of four
    starts = columns[::2]
    width = columns[1] - columns[0]
    cells = [sheet[34 : 34 + width, start : start + width].astype(int) for start in starts]
    assert all(np.abs(cells[0] - other).max() > 10 for other in cells[1:])


def test_a_walk_through_the_space(photo, found, monkeypatch):
    monkeypatch.setattr("EmotionGAN.edit.album.GIF_SIDE", 320)
    edit(photo, "--gif")
    with Image.open(photo.with_name("photo_walk.gif")) as gif:
        assert gif.format == "GIF" and gif.size == (320, 240) and gif.info["loop"] == 0
        assert gif.n_frames == 7 * LEG_FRAMES
        frames = []
        for number in (0, 1, 35):
            gif.seek(number)
            frames.append(np.array(gif.convert("RGB")).astype(int))
    above = crop_box(FACE, "fer2013").top // 2 - 1
    assert (frames[0][:above] == frames[2][:above]).all()  # what stands still does not flicker
    small = np.array(Image.fromarray(scene()).resize((320, 240), Image.Resampling.BOX)).astype(int)
    assert np.abs(frames[0] - small)[:above].mean() < 4
    assert np.abs(frames[0] - frames[2]).sum() > 3 * np.abs(frames[0] - frames[1]).sum() > 0


def test_the_walk_is_a_short_closed_way_through_every_centre():
    angles = torch.tensor([0.0, 2.0, 5.0, 1.0, 4.0, 3.0, 6.0])
    circle = torch.stack([angles.cos(), angles.sin()], dim=1)
    order = angles[shortest_round(circle)].tolist()
    assert order[0] == 6 and order[1:] in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0])
    points = walk(circle)
    assert len(points) == 7 * LEG_FRAMES and (points[::LEG_FRAMES] == circle[shortest_round(circle)]).all()
    steps = (points - points.roll(-1, 0)).norm(dim=1)
    assert steps.max() < 0.2 and points.abs().max() <= 1


def test_a_linear_generator_is_pointed_by_angle_and_strength_and_sees_colours(photo, found, linear):
    edit(photo, "--theta", "90", "--rho", "0.5", "--generator", linear)
    edit(photo, "--x", "0", "--y", "0.5", "--generator", linear)
    by_angle, by_place = (
        np.array(Image.open(photo.with_name(f"photo_{name}.png"))) for name in ("theta90_rho0.5", "x0_y0.5")
    )
    assert np.abs(by_angle.astype(int) - by_place).max() <= 1 and (by_angle != scene()).any()


def test_colour_generators_see_their_order_of_channels_and_change_luminance(linear):
    editor = Editor.load(linear, torch.device("cpu"))
    pixels = np.full((64, 64, 3), (255, 51, 0), dtype=np.uint8)
    view = generator_view(pixels, editor.generator.config)
    assert view.shape == (1, 3, 32, 32)
    assert view[0, :, 5, 5].tolist() == pytest.approx([-1, -0.6, 1], abs=1e-5)
    assert generator_view(pixels[:, :, :1], editor.generator.config).numpy() == pytest.approx(1, abs=1e-5)
    codes = torch.tensor([[0.3, 0.1], [-0.5, 0.9]])
    changes = luminance_changes(editor, Photograph(pixels), [Box(0, 0, 64, 64)], codes)
    assert changes.shape == (2, 1, 32, 32)
    with torch.no_grad():
        edited = editor.generator(view, codes[1:])[0]
    expected = np.einsum("chw,c->hw", 127.5 * (edited - view)[0].numpy(), GREY[::-1])
    assert changes[1, 0] == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--emotion", "Hungry"], "invalid choice: 'Hungry'"),
        (["--emotion", "Happy", "--x", "0", "--y", "0"], "choose one of"),
        ([], "choose one of"),
        (["--sheet", "--gif"], "choose one of"),
        (["--x", "0.5"], "--x and --y are given together"),
        (["--rho", "0.5"], "--theta and --rho are given together"),
        (["--x", "1.5", "--y", "0"], "expected a number from -1 to 1, found '1.5'"),
        (["--x", "0", "--y", "nan"], "expected a number from -1 to 1, found 'nan'"),
        (["--theta", "inf", "--rho", "0"], "expected a number of degrees, found 'inf'"),
        (["--emotion", "Happy", "--strength", "-1"], "expected a number from 0 to 100, found '-1'"),
        (["--emotion", "Happy", "--face", "0"], "expected a whole number, 1 or more, found '0'"),
        (["--emotion", "Happy", "--face", "2"], "photo.png: --face 2, but it has 1 face"),
        (["--theta", "30", "--rho", "0.8"], "fer2013_gaussian_48 is not one: take --x and --y"),
        (["--emotion", "Happy", "--output", "photo.png"], "is the photo itself"),
        (["--emotion", "Happy", "--output", "photo.xyz"], "unknown ending '.xyz'"),
        (["--gif", "--output", "walk.png"], "unknown ending '.png', expected .gif"),
        (["--emotion", "Happy", "--generator", "nowhere"], "nowhere: no such generator"),
    ],
)
def test_bad_wishes_are_one_line_and_nothing_is_written(photo, found, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(photo.parent)
    before = photo.read_bytes()
    assert said in error_of(capsys, "photo.png", *arguments)
    assert [path.name for path in photo.parent.iterdir()] == ["photo.png"] and photo.read_bytes() == before


def test_bad_photos_are_one_line(tmp_path, capsys, found):
    assert "gone.jpg: no such picture" in error_of(capsys, tmp_path / "gone.jpg", "--sheet")
    assert "no such picture" in error_of(capsys, tmp_path, "--sheet")
    (tmp_path / "notes.jpg").write_text("not a picture")
    assert "notes.jpg: not a readable picture" in error_of(capsys, tmp_path / "notes.jpg", "--sheet")
    Image.fromarray(scene()).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:50_000])
    assert "cut.png: not a readable picture" in error_of(capsys, tmp_path / "cut.png", "--sheet")
    Image.fromarray(np.zeros((64, 64), dtype=np.float32)).save(tmp_path / "deep.tif")
    assert "expected grey or RGB of 8 or 16 bits" in error_of(capsys, tmp_path / "deep.tif", "--sheet")
    Image.fromarray(scene()).convert("RGBA").save(tmp_path / "clear.png")
    said = error_of(capsys, tmp_path / "clear.png", "--emotion", "Sad", "--output", tmp_path / "out.jpg")
    assert "JPEG has no transparency" in said and not (tmp_path / "out.jpg").exists()


def test_a_link_to_the_photo_is_not_written_over(photo, capsys, found):
    link = photo.with_name("same.png")
    link.hardlink_to(photo)
    assert "is the photo itself" in error_of(capsys, photo, "--emotion", "Happy", "--output", link)


def test_a_photo_without_a_face(tmp_path, capsys):
    pytest.importorskip("dlib")
    Image.fromarray(background()).save(tmp_path / "empty.png")
    assert "empty.png: no face found" in error_of(capsys, tmp_path / "empty.png", "--emotion", "Happy")
    assert [path.name for path in tmp_path.iterdir()] == ["empty.png"]


def test_without_dlib(photo, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    assert "pip install dlib-bin" in error_of(capsys, photo, "--emotion", "Happy")
    edit(photo, "--emotion", "Happy", "--face_detector", "none")
    assert photo.with_name("photo_Happy.png").exists()


def test_palettes_and_cmyk_become_rgb(tmp_path):
    picture = Image.fromarray(scene())
    for mode, name in (("P", "palette.png"), ("CMYK", "print.jpg"), ("1", "bits.png")):
        picture.convert(mode).save(tmp_path / name)
    assert read_photograph(tmp_path / "palette.png").pixels.shape == (480, 640, 3)
    assert read_photograph(tmp_path / "print.jpg").pixels.shape == (480, 640, 3)
    assert read_photograph(tmp_path / "bits.png").pixels.shape == (480, 640, 1)
    with pytest.raises(InputError, match="no such picture"):
        read_photograph(tmp_path / "none.png")


@pytest.mark.parametrize("size", [(2000, 1), (1, 2000)])
@pytest.mark.parametrize("flag", ["--gif", "--sheet"])
def test_a_strip_of_one_pixel_is_drawn_too(tmp_path, size, flag):
    Image.new("RGB", size, "grey").save(tmp_path / "strip.png")
    edit(tmp_path / "strip.png", flag, "--face_detector", "none")
    assert len(list(tmp_path.iterdir())) == 2


def test_an_output_below_a_loop_of_links_is_one_line(tmp_path, capsys):
    Image.fromarray(scene()).save(tmp_path / "photo.png")
    (tmp_path / "loop").symlink_to("loop")
    flags = ["--emotion", "Sad", "--face_detector", "none", "--output", str(tmp_path / "loop" / "a.png")]
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: main([str(tmp_path / "photo.png"), *flags]))
    assert ended.value.code == 2 and "loop" in capsys.readouterr().err
