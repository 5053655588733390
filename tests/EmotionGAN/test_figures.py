"""The pictures of a generator's space: what they show, against numpy and against what create_augmentations.py draws."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import create_augmentations
from core_code.core_utils.emotions import AFFECTNET_EMOTIONS, EMOTIONS
from core_code.core_utils.errors import run_command
from core_code.core_utils.plots.palette import EMOTION_COLOURS
from EmotionGAN.conditional_space import ConditionalSpace
from EmotionGAN.editor import Editor, save_generator
from EmotionGAN.figures import __main__ as figures
from EmotionGAN.figures.grid import fill_tiles, grid_codes
from EmotionGAN.figures.space import (
    axis_ends,
    background,
    draw_ellipse,
    ellipses,
    label_places,
    shares_at,
)
from EmotionGAN.figures.walk import on_map, write_face_walk
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.generator import build_generator

pytestmark = pytest.mark.usefixtures("small_pictures")


def small_generator(parametrisation: str = "gaussian", seed: int = 0, order: tuple[str, ...] = EMOTIONS):
    torch.manual_seed(seed)
    config = GeneratorConfig(parametrisation, 16, "grey", 4, 1, framing="fer2013", emotions=order)
    generator = build_generator(config)
    if parametrisation == "gaussian":
        with torch.no_grad():
            generator.covariance_axes.weight.uniform_(-0.3, 0.3)
            generator.covariance_angles.weight.uniform_(-3, 3)
    return generator


def covariance_of(generator, row):
    """Of one gaussian, read off its squared Mahalanobis distances."""
    centre = generator.centres().detach()[row]
    steps = torch.tensor([[0.1, 0.0], [0.0, 0.1], [0.1, 0.1]])
    xx, yy, both = (generator.distances(centre + steps)[:, row].detach().double().numpy() / 0.01).tolist()
    xy = (both - xx - yy) / 2
    return np.linalg.inv(np.array([[xx, xy], [xy, yy]]))


@pytest.mark.parametrize("order", [EMOTIONS, AFFECTNET_EMOTIONS], ids=["ours", "published"])
def test_an_ellipse_is_the_covariance_of_its_emotion(order):
    generator = small_generator(order=order)
    for row, ellipse in enumerate(ellipses(generator)):
        values, vectors = np.linalg.eigh(covariance_of(generator, row))
        lengths = sorted([ellipse.width, ellipse.height])
        np.testing.assert_allclose(lengths, 2 * np.sqrt(values), rtol=2e-3)
        long = np.radians(ellipse.degrees if ellipse.width > ellipse.height else ellipse.degrees + 90)
        assert abs(vectors[:, 1] @ [np.cos(long), np.sin(long)]) == pytest.approx(1, abs=1e-3)
        assert [ellipse.x, ellipse.y] == pytest.approx(generator.centres()[row].tolist(), abs=1e-6)


def test_the_drawn_outline_is_one_standard_deviation_away():
    generator = small_generator(seed=3)
    axes = Figure().add_subplot()
    turns = np.linspace(0, 2 * np.pi, 30)
    for row, ellipse in enumerate(ellipses(generator)):
        draw_ellipse(axes, ellipse, "black")
        outline = axes.patches[-1].get_patch_transform().transform(np.stack([np.cos(turns), np.sin(turns)], axis=1))
        distances = generator.distances(torch.tensor(outline, dtype=torch.float32))[:, row].detach()
        np.testing.assert_allclose(distances, 1, rtol=1e-3)


@pytest.mark.parametrize("parametrisation", ["gaussian", "linear"])
def test_the_mixture_is_softmax_of_minus_distance_and_colours_the_background(parametrisation):
    generator = small_generator(parametrisation)
    codes = torch.rand(20, 2) * 2 - 1
    scores = np.exp(-generator.distances(codes).detach().double().numpy())
    np.testing.assert_allclose(shares_at(generator, codes), scores / scores.sum(1, keepdims=True), atol=1e-5)
    picture = background(generator)
    middle = torch.tensor([[-1 + 101 / 200, 1 - 61 / 200]])  # of the pixel in row 30, column 50
    scores = np.exp(-generator.distances(middle).detach().double().numpy()[0])
    colours = np.array([list(bytes.fromhex(colour[1:])) for colour in EMOTION_COLOURS])
    expected = 0.6 * 255 + 0.4 * (scores / scores.sum()) @ colours
    np.testing.assert_allclose(picture[30, 50], expected, atol=1)


def test_a_linear_generator_has_axes_to_the_edge_and_no_ellipses():
    generator = small_generator("linear")
    space = ConditionalSpace.of(generator)
    assert ellipses(generator) == []
    for emotion, end, centre in zip(EMOTIONS, axis_ends(space), space.centres.numpy(), strict=True):
        assert max(map(abs, end)) == pytest.approx(0 if emotion == "Neutral" else 1)
        assert np.cross([*end, 0], [*centre, 0]) == pytest.approx(0, abs=1e-6) and np.dot(end, centre) >= 0


@pytest.mark.parametrize("height", [0.06, 0.085])
@pytest.mark.parametrize("where", ["published", "gaussian 0", "gaussian 5", "linear 1", "linear 2"])
def test_names_cover_neither_each_other_nor_a_centre(where, height):
    space = ConditionalSpace.published()
    if where != "published":
        kind, seed = where.split()
        space = ConditionalSpace.of(small_generator(kind, int(seed)))
    places = label_places(space.centres.tolist(), EMOTIONS, height)
    halves = [(0.5 * 0.5 * height * len(emotion), 0.5 * height) for emotion in EMOTIONS]
    for i, ((x, y), (width, tall)) in enumerate(zip(places, halves, strict=True)):
        assert abs(x) + width < 1.12 and abs(y) + tall < 1.12
        for j in range(i):
            apart_x, apart_y = abs(x - places[j][0]), abs(y - places[j][1])
            assert apart_x >= width + halves[j][0] - 1e-6 or apart_y >= tall + halves[j][1] - 1e-6
        for px, py in space.centres.tolist():
            assert abs(x - px) > width or abs(y - py) > tall


def test_tiles_stand_where_their_codes_are():
    codes = grid_codes()
    assert codes[0].tolist() == [-1, 1] and codes[-1].tolist() == [1, -1] and len(codes) == 121
    edits = ((codes[:, 0] + 1) * 100 + (codes[:, 1] + 1) * 10).round().to(torch.uint8)
    axes = Figure().add_subplot()
    centres = torch.tensor([[-1.0, -1], [1, 1], [0, 0.04], [0.6, 0], [0, -0.6], [-0.6, 0], [0, 0.6]])
    fill_tiles(axes, edits[:, None, None].expand(-1, 48, 48).numpy(), centres, codes)
    shown = axes.images[0].get_array()
    for x, y, column, row in [(-1, 1, 0, 0), (1, 1, 10, 0), (0, -1, 5, 10), (0.4, -0.2, 7, 6)]:
        middle = (axes.get_yticks()[row], axes.get_xticks()[column])
        assert shown[round(middle[0]), round(middle[1])] == round((x + 1) * 100 + (y + 1) * 10)
        assert float(axes.get_xticklabels()[column].get_text()) == pytest.approx(x)
        assert float(axes.get_yticklabels()[row].get_text()) == pytest.approx(y)
    frames = [(frame.get_x() + 25, frame.get_y() + 25) for frame in axes.patches]
    for (left, top), (column, row) in zip(frames[:3], [(0, 10), (10, 0), (5, 5)], strict=True):
        assert abs(left - axes.get_xticks()[column]) < 2 and abs(top - axes.get_yticks()[row]) < 2


@pytest.mark.parametrize("expand", [False, True])
def test_examples_are_those_of_create_augmentations(tmp_path, monkeypatch, fer2013_csv, expand):
    monkeypatch.chdir(tmp_path)
    fer2013_csv(tmp_path / "data" / "fer2013", train=30)
    save_generator(Path("tiny"), small_generator())
    shared = ["--generator", "tiny", "--seed", "4", "--precision", "fp32", "--device", "cpu", "--dataset", "fer2013"]
    create_augmentations.main([*shared, "--expand_dataset", str(expand), "--dest_folder", "made"])
    name = "expansion" if expand else "augmentation"
    made = Image.open(f"plots_output/{name}_examples_made.png")
    figures.main([*shared, "--output_root", "out"])
    drawn = Image.open(f"out/plots_output/{name}_examples_tiny_fer2013.png")
    assert made.size == drawn.size
    difference = np.asarray(made.convert("L")).astype(int) - np.asarray(drawn.convert("L"))
    assert np.abs(difference).max() <= 2  # the images' neighbours in a batch differ, which can move a rounding


@pytest.mark.parametrize("parametrisation", ["gaussian", "linear"])
def test_one_command_draws_all_pictures(tmp_path, capsys, parametrisation):
    save_generator(tmp_path / "mine", small_generator(parametrisation))
    figures.main(["--generator", str(tmp_path / "mine"), "--face", "7", "--output_root", str(tmp_path)])
    names = ["conditional_space_mine", "face_grid_mine_sample_7", "augmentation_examples_mine_sample",
             "expansion_examples_mine_sample"]  # fmt: skip
    paths = [tmp_path / "plots_output" / f"{name}.png" for name in names]
    walk = tmp_path / "plots_output" / "walk_mine_sample.gif"
    assert capsys.readouterr().out.split() == [str(path) for path in [*paths, walk]]
    assert {path.name for path in (tmp_path / "plots_output").iterdir()} == {path.name for path in [*paths, walk]}
    for path in paths:
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) > 350
    with Image.open(walk) as gif:
        assert gif.info["loop"] == 0 and gif.n_frames > 20 and walk.stat().st_size < 2e6


def test_a_walk_shows_the_point_and_the_faces_there_in_their_own_greys(tmp_path):
    save_generator(tmp_path / "mine", small_generator())
    editor = Editor.load(tmp_path / "mine", torch.device("cpu"))
    faces = torch.randint(0, 256, (3, 96, 96), dtype=torch.uint8)
    path = write_face_walk(tmp_path / "walk.gif", editor, faces)
    edits = editor.edit(faces, editor.space.centres[6:].expand(3, 2))  # it starts at Neutral
    with Image.open(path) as gif:
        first = np.array(gif.convert("L"))
    x, y = on_map(*editor.space.centres[6].tolist())
    assert (first[y - 3 : y + 4, x - 3 : x + 4] == 0).all()
    for left, top, edit in ((208, 0, edits[0]), (208, 104, edits[1]), (312, 0, edits[2])):
        np.testing.assert_array_equal(first[top : top + 96, left : left + 96], edit)


def test_a_face_that_is_not_there_is_one_line_and_leaves_nothing(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: figures.main(["--face", "2100", "--output_root", str(tmp_path / "out")]))
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: --face 2100: no such training face, expected 0 to 2099\n"
    assert not (tmp_path / "out").exists()
