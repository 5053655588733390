"""The generators: layers, keys, statistics and the plane of codes, against plain re-computations."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import write_json
from EmotionGAN.conditional_space import ConditionalSpace
from EmotionGAN.editor import Editor, load_generator, save_generator
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.generator import build_generator
from EmotionGAN.networks.warp import Paint, warp_and_paint

SMALL = GeneratorConfig(image_size=32, colours="grey", width=4, blocks=2, output="plain", framing="fer2013")
OVERLAY = GeneratorConfig(image_size=32, colours="grey", width=4, blocks=2, output="overlay", framing="fer2013")
STYLED = GeneratorConfig("gaussian", 32, "grey", 4, 2, "overlay", "norms", "fer2013")


def published_shapes(parametrisation: str) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of GANmut's published generators, written down by hand."""
    shapes: dict[str, tuple[int, ...]] = {}
    if parametrisation == "gaussian":
        shapes |= {"covariance_angles.weight": (1, 7), "covariance_axes.weight": (7, 2), "mu.weight": (7, 2)}
    else:
        shapes |= {"axes.weight": (6, 2), "axes.bias": (6,)}

    def norm(prefix: str, channels: int) -> None:
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{prefix}.{name}"] = (channels,)
        shapes[f"{prefix}.num_batches_tracked"] = ()

    for conv, channels, shape in [
        (0, 64, (64, 5, 7, 7)), (3, 128, (128, 64, 4, 4)), (6, 256, (256, 128, 4, 4)),
        (15, 128, (256, 128, 4, 4)), (18, 64, (128, 64, 4, 4)),
    ]:  # fmt: skip
        shapes[f"main.{conv}.weight"] = shape
        norm(f"main.{conv + 1}", channels)
    for block in range(9, 15):
        for conv in (0, 3):
            shapes[f"main.{block}.main.{conv}.weight"] = (256, 256, 3, 3)
            norm(f"main.{block}.main.{conv + 1}", 256)
    shapes["main.21.weight"] = (3, 64, 7, 7)
    return shapes


def published_state(parametrisation: str) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(5)
    return {
        name: torch.tensor(9) if not shape else torch.randn(shape, generator=draws) * 0.05 + (len(shape) == 1)
        for name, shape in published_shapes(parametrisation).items()
    }


def recompute(state: dict[str, torch.Tensor], image: np.ndarray, code: np.ndarray, blocks: int, overlaid: bool):
    """The generator's picture of one image [C,S,S], layer by layer in float64, statistics by numpy."""
    get = {name: tensor.double() for name, tensor in state.items()}
    styled = "style.0.weight" in get
    if styled:
        hidden = np.maximum(get["style.0.weight"].numpy() @ code + get["style.0.bias"].numpy(), 0)
        style = np.maximum(get["style.2.weight"].numpy() @ hidden + get["style.2.bias"].numpy(), 0)

    def norm(x: torch.Tensor, prefix: str) -> torch.Tensor:
        values = x[0].numpy()
        mean, variance = values.mean(axis=(1, 2)), values.var(axis=(1, 2))
        scaled = (values - mean[:, None, None]) / np.sqrt(variance + 1e-5)[:, None, None]
        weight, bias = get[f"{prefix}.weight"].numpy(), get[f"{prefix}.bias"].numpy()
        normed = scaled * weight[:, None, None] + bias[:, None, None]
        if styled:
            both = get[f"{prefix}.style.weight"].numpy() @ style + get[f"{prefix}.style.bias"].numpy()
            scale, shift = both[: len(weight)], both[len(weight) :]
            normed = normed * (1 + scale[:, None, None]) + shift[:, None, None]
        return torch.from_numpy(normed)[None]

    size = image.shape[-1]
    maps = np.concatenate([image, np.full((1, size, size), code[0]), np.full((1, size, size), code[1])])
    maps = image if styled else maps
    x = torch.from_numpy(maps)[None].double()
    x = norm(F.conv2d(x, get["main.0.weight"], padding=3), "main.1").clamp_min(0)
    x = norm(F.conv2d(x, get["main.3.weight"], stride=2, padding=1), "main.4").clamp_min(0)
    x = norm(F.conv2d(x, get["main.6.weight"], stride=2, padding=1), "main.7").clamp_min(0)
    for block in range(9, 9 + blocks):
        y = norm(F.conv2d(x, get[f"main.{block}.main.0.weight"], padding=1), f"main.{block}.main.1").clamp_min(0)
        x = x + norm(F.conv2d(y, get[f"main.{block}.main.3.weight"], padding=1), f"main.{block}.main.4")
    up = 9 + blocks
    x = norm(F.conv_transpose2d(x, get[f"main.{up}.weight"], stride=2, padding=1), f"main.{up + 1}").clamp_min(0)
    up += 3
    x = norm(F.conv_transpose2d(x, get[f"main.{up}.weight"], stride=2, padding=1), f"main.{up + 1}").clamp_min(0)
    painted = F.conv2d(x, get[f"main.{up + 3}.weight"], padding=3)[0].numpy()
    if not overlaid:
        return np.tanh(painted)
    return np.clip(painted + image + overlay(get, image, code), -1, 1)


def overlay(get: dict[str, torch.Tensor], image: np.ndarray, code: np.ndarray) -> np.ndarray:
    """What the overlay adds to one grey image [1,S,S] at a code, from its weights by numpy."""

    def softmax(x: np.ndarray) -> np.ndarray:
        return np.exp(x - x.max()) / np.exp(x - x.max()).sum()

    deviation = image.std(ddof=1)
    places = ((image - image.mean()) / deviation).ravel() - get["overlay.mean"].numpy()
    places = places @ get["overlay.axes"].numpy() / get["overlay.scales"].numpy()
    offsets = code - np.tanh(get["mu.weight"].numpy())
    wanted = softmax(-(offsets**2 / np.abs(get["covariance_axes.weight"].numpy())).sum(1))  # angles are 0
    own = softmax(get["overlay.reader.weight"].numpy() @ places + get["overlay.reader.bias"].numpy())
    known = np.append(places[:12], 1)
    change = sum((wanted[e] - own[e]) * (known @ get["overlay.expected"][e].numpy()) for e in range(7))
    return float(get["overlay.amplitude"]) * deviation * change.reshape(image.shape)


@pytest.mark.parametrize("config", [SMALL, OVERLAY, STYLED], ids=["plain", "overlay", "styled"])
def test_a_generator_equals_a_plain_recomputation_of_its_layers(config):
    torch.manual_seed(3)
    generator = build_generator(config)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    if config.parametrisation == "gaussian":
        torch.nn.init.zeros_(generator.covariance_angles.weight)
    if generator.overlay is not None:
        generator.overlay.axes.normal_(std=0.03)
        generator.overlay.expected.data.mul_(0.1)
    images = torch.rand(3, 1, 32, 32) * 2 - 1
    codes = torch.rand(3, 2) * 2 - 1
    made, _, returned = generator(images, codes)
    assert torch.equal(returned, codes)
    for i in range(3):
        expected = recompute(
            generator.state_dict(), images[i].numpy(), codes[i].numpy(), config.blocks, config.output == "overlay"
        )
        np.testing.assert_allclose(made[i].detach().numpy(), expected, atol=2e-5)


@pytest.mark.parametrize(("parametrisation", "parameters"), [("gaussian", 8_421_155), ("linear", 8_421_138)])
def test_a_published_checkpoint_loads_strictly(tmp_path, parametrisation, parameters):
    state = published_state(parametrisation)
    path = tmp_path / "1800000-G.ckpt"
    torch.save(state, path)
    generator, space = load_generator(path)
    assert sum(p.numel() for p in generator.parameters()) == parameters
    assert {name: tuple(t.shape) for name, t in generator.state_dict().items()} == published_shapes(parametrisation)
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, state[name])
    if parametrisation == "gaussian":
        assert space.centres[EMOTIONS.index("Surprise")].tolist() == pytest.approx([0.9, -0.45])


def test_a_published_checkpoint_edits_in_its_own_size_and_colours(tmp_path):
    state = published_state("gaussian")
    path = tmp_path / "G.ckpt"
    torch.save(state, path)
    editor = Editor.load(path, torch.device("cpu"))
    faces = torch.randint(0, 256, (1, 128, 128), dtype=torch.uint8)
    code = torch.tensor([[0.6, 0.4]])
    image = np.repeat(faces.numpy() / 127.5 - 1, 3, axis=0)
    expected = (recompute(state, image, code[0].numpy(), 6, False).mean(axis=0) + 1) * 127.5
    made = editor.edit(faces, code)[0].numpy().astype(float)
    assert np.abs(made - expected).max() < 0.6


# Emotions as published checkpoints number them, written down by hand: AffectNet's labels.
PUBLISHED_ROWS = {"Neutral": 0, "Happy": 1, "Sad": 2, "Surprise": 3, "Fear": 4, "Disgust": 5, "Angry": 6}


def test_a_published_gaussian_checkpoints_rows_are_affectnets(tmp_path):
    state = published_state("gaussian")
    torch.save(state, tmp_path / "G.ckpt")
    generator, _ = load_generator(tmp_path / "G.ckpt")
    mu, axes = state["mu.weight"].double().numpy(), state["covariance_axes.weight"].double().numpy()
    angles, codes = state["covariance_angles.weight"][0].double().numpy(), torch.rand(4, 2) * 2 - 1
    distances, centres = generator.distances(codes).detach().numpy(), generator.centres().detach().numpy()
    for label, emotion in enumerate(["Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral"]):
        row = PUBLISHED_ROWS[emotion]
        np.testing.assert_allclose(centres[label], np.tanh(mu[row]), atol=1e-6)
        turn = np.array(
            [[math.cos(angles[row]), -math.sin(angles[row])], [math.sin(angles[row]), math.cos(angles[row])]]
        )
        inverse = np.linalg.inv(turn @ np.diag(np.abs(axes[row])) @ turn.T)
        offsets = codes.double().numpy() - np.tanh(mu[row])
        np.testing.assert_allclose(distances[:, label], np.einsum("bi,ij,bj->b", offsets, inverse, offsets), rtol=1e-3)


def test_a_published_linear_checkpoints_first_axis_is_happy_and_none_is_neutral(tmp_path):
    """The axes of a fan: Happy's points along +x, each further one's is turned by 50 degrees."""
    state = published_state("linear")
    turns = np.radians(50 * np.arange(6))
    state["axes.weight"] = torch.tensor(np.stack([3 * np.cos(turns), 3 * np.sin(turns)], axis=1), dtype=torch.float32)
    state["axes.bias"] = torch.arange(6) / 10
    torch.save(state, tmp_path / "G.ckpt")
    generator, space = load_generator(tmp_path / "G.ckpt")
    assert space.centres[EMOTIONS.index("Happy")].tolist() == pytest.approx([0.8, 0], abs=1e-6)
    assert space.centres[EMOTIONS.index("Neutral")].tolist() == [0, 0]
    code = torch.tensor([[0.5, 0.25]])
    distances = generator.distances(code)[0].tolist()
    for emotion, row in PUBLISHED_ROWS.items():
        score = 0.0
        if row > 0:
            x, y = math.cos(turns[row - 1]), math.sin(turns[row - 1])
            assert space.centres[EMOTIONS.index(emotion)].tolist() == pytest.approx([0.8 * x, 0.8 * y], abs=1e-6)
            score = 3 * (0.5 * x + 0.25 * y) + (row - 1) / 10
        assert distances[EMOTIONS.index(emotion)] == pytest.approx(-score, abs=1e-5)
    images = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        edited, _, _ = generator(images, code)
    expected = recompute(state, images[0].numpy(), code[0].numpy(), 6, False)
    np.testing.assert_allclose(edited[0].numpy(), expected, atol=2e-4)


def test_accelerated_it_generates_the_same_and_can_be_left_as_it_is(tmp_path):
    torch.manual_seed(1)
    config = GeneratorConfig(image_size=32, colours="grey", width=16, blocks=1, framing="fer2013")
    save_generator(tmp_path / "mine", build_generator(config))
    fast, plain = (
        Editor.load(tmp_path / "mine", torch.device("cpu"), torch.bfloat16, accelerate=each) for each in (True, False)
    )
    faces = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    edits = [editor.edit(faces, torch.zeros(3, 2)).int() for editor in (fast, plain)]
    assert (edits[0] - edits[1]).abs().max() <= 6 and edits[0].float().std() > 1
    assert fast.generator.state_dict().keys() == plain.generator.state_dict().keys()


def test_statistics_are_each_images_own_in_either_mode():
    generator = build_generator(SMALL)
    images, codes = torch.rand(4, 1, 32, 32) * 2 - 1, torch.rand(4, 2)
    for module in generator.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.fill_(7.0)
            module.running_var.fill_(0.01)
    with torch.no_grad():
        trained = generator.train()(images, codes)[0]
        evaluated = generator.eval()(images, codes)[0]
        alone = torch.cat([generator(images[i : i + 1], codes[i : i + 1])[0] for i in range(4)])
    assert torch.equal(trained, evaluated)
    assert torch.allclose(alone, evaluated, atol=1e-5)
    assert all((m.running_mean == 7).all() for m in generator.modules() if hasattr(m, "running_mean"))


def test_gaussian_distances_are_squared_mahalanobis():
    torch.manual_seed(0)
    generator = build_generator(SMALL)
    torch.nn.init.normal_(generator.covariance_axes.weight)
    torch.nn.init.normal_(generator.covariance_angles.weight)
    codes = torch.rand(5, 2) * 2 - 1
    distances = generator.distances(codes).detach().double().numpy()
    for e in range(7):
        angle = generator.covariance_angles.weight[0, e].item()
        rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        covariance = (
            rotation @ np.diag(np.abs(generator.covariance_axes.weight[e].detach().double().numpy())) @ rotation.T
        )
        centre = np.tanh(generator.mu.weight[e].detach().double().numpy())
        for b in range(5):
            offset = codes[b].double().numpy() - centre
            assert distances[b, e] == pytest.approx(offset @ np.linalg.inv(covariance) @ offset, rel=1e-3)


def test_linear_emotions_are_directions_and_neutral_is_the_origin():
    generator = build_generator(GeneratorConfig("linear", 32, "grey", 4, 1, "plain", "maps", "fer2013"))
    torch.nn.init.orthogonal_(generator.axes.weight)
    torch.nn.init.zeros_(generator.axes.bias)
    centres = generator.centres().detach()
    assert centres[6].tolist() == [0.0, 0.0]
    assert centres[:6].norm(dim=-1).tolist() == pytest.approx([0.8] * 6)
    scores = -generator.distances(centres[:1])[0].detach()
    assert scores[6] == 0
    assert scores[:6].numpy() == pytest.approx(generator.axes.weight.detach().numpy() @ centres[0].numpy(), abs=1e-6)


def test_codes_stay_in_the_neighbourhood_and_in_the_square():
    space = ConditionalSpace.published()
    emotions = torch.arange(7).repeat_interleave(1000)
    codes = space.codes(emotions, torch.rand(7000, 2), 0.2).reshape(7, 1000, 2)
    assert codes.abs().max() <= 1
    for emotion, own in zip(EMOTIONS, codes, strict=True):
        centre = space.centres[EMOTIONS.index(emotion)]
        assert ((own - centre).abs() <= 0.2 + 1e-6).all()
        assert (own.amax(0) - own.amin(0)).max() > 0.15
    angry = codes[EMOTIONS.index("Angry")]
    assert angry[:, 1].min() >= -0.9 and angry[:, 1].max() <= -0.7
    assert codes[EMOTIONS.index("Disgust")][:, 1].max() <= -0.8 + 1e-6


def test_a_learned_generator_is_saved_whole_and_comes_back_with_its_own_space(tmp_path):
    generator = build_generator(OVERLAY)
    save_generator(tmp_path / "mine", generator, half_precision=False)
    editor = Editor.load(tmp_path / "mine", torch.device("cpu"))
    assert editor.image_size == 32 and editor.name == "mine"
    assert torch.allclose(editor.space.centres, torch.tanh(generator.mu.weight).detach())
    faces = torch.randint(0, 256, (5, 48, 48), dtype=torch.uint8)
    codes = torch.rand(5, 2)
    edited = editor.edit(faces, codes)
    assert edited.shape == (5, 48, 48) and edited.dtype == torch.uint8
    assert torch.equal(edited, editor.edit(faces, codes))


def damage(folder, kind):
    config, weights = folder / "config.json", folder / "generator.pth"
    if kind == "no weights":
        weights.unlink()
    elif kind == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif kind == "empty":
        weights.write_bytes(b"")
    elif kind == "other architecture":
        torch.save(build_generator(STYLED).state_dict(), weights)
    elif kind == "other shapes":
        wider = GeneratorConfig(image_size=32, colours="grey", width=5, blocks=2, output="overlay", framing="fer2013")
        torch.save(build_generator(wider).state_dict(), weights)
    elif kind == "not a state dict":
        torch.save([1, 2, 3], weights)
    elif kind == "code inside":
        torch.save({"mu.weight": print}, weights)
    elif kind == "not numbers":
        state = build_generator(OVERLAY).state_dict()
        state["mu.weight"][0, 0] = float("nan")
        torch.save(state, weights)
    elif kind == "config not JSON":
        config.write_text("{")
    elif kind == "config lacks a value":
        config.write_text('{"width": 4}')
    elif kind == "config of a strange size":
        config.write_text(config.read_text().replace('"image_size": 32', '"image_size": 33'))
    elif kind == "config of strange emotions":
        config.write_text(config.read_text().replace('"Angry"', '"Bored"'))


@pytest.mark.parametrize(
    "kind",
    [
        "no weights", "truncated", "empty", "other architecture", "other shapes", "not a state dict", "code inside",
        "not numbers", "config not JSON", "config lacks a value", "config of a strange size",
        "config of strange emotions",
    ],
)  # fmt: skip
def test_a_wrong_generator_is_a_one_line_error_naming_the_file(tmp_path, kind):
    folder = tmp_path / "mine"
    save_generator(folder, build_generator(OVERLAY))
    damage(folder, kind)
    with pytest.raises(InputError) as error:
        load_generator(folder)
    assert "\n" not in str(error.value)
    assert ("config.json" if kind.startswith("config") else "generator.pth") in str(error.value)


def test_a_generator_whose_outputs_are_no_numbers_is_refused_before_it_edits(tmp_path):
    generator = build_generator(OVERLAY)
    torch.nn.init.constant_(next(p for p in generator.parameters() if p.ndim == 4), 1e38)
    save_generator(tmp_path / "mine", generator, half_precision=False)
    with pytest.raises(InputError, match=r"generator\.pth: the generator's outputs are not all finite numbers"):
        Editor.load(tmp_path / "mine", "cpu")


@pytest.mark.parametrize("name, shown", [("caf\udce9", r"caf\udce9"), ("a\nb", r"a\nb"), ("\x1b[31m", r"\x1b[31m")])
def test_a_folder_s_name_is_shown_without_what_cannot_be_printed(tmp_path, name, shown):
    save_generator(tmp_path / name, build_generator(OVERLAY))
    assert Editor.load(tmp_path / name, "cpu").name == shown


def test_a_missing_generator_is_named():
    with pytest.raises(InputError, match=r"nowhere\.ckpt: no such generator"):
        load_generator("nowhere.ckpt")


def plain_warp(image, output):
    """One grey image [S,S] moved and painted over, pixel by pixel: bicubic kernel of a = -0.75, edges repeated."""

    def cubic(t):
        t = abs(t)
        a = -0.75
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0

    side = len(image)
    blocks = output[2:].reshape(2, side // 4, 4, side // 4, 4).mean((2, 4))
    edited = np.zeros_like(image)
    for row in range(side):
        for column in range(side):
            shift = [bilinear(blocks[axis], (row + 0.5) / 4 - 0.5, (column + 0.5) / 4 - 0.5) for axis in (0, 1)]
            x = column + 0.15 * np.tanh(shift[0]) * side / 2
            y = row + 0.15 * np.tanh(shift[1]) * side / 2
            moved = 0.0
            for i in range(int(np.floor(y)) - 1, int(np.floor(y)) + 3):
                for j in range(int(np.floor(x)) - 1, int(np.floor(x)) + 3):
                    pixel = image[min(max(i, 0), side - 1), min(max(j, 0), side - 1)]
                    moved += cubic(y - i) * cubic(x - j) * pixel
            mask = 1 / (1 + np.exp(2 - output[1, row, column]))
            edited[row, column] = moved + mask * (np.tanh(output[0, row, column]) - moved)
    return edited.clip(-1, 1)


def bilinear(values, row, column):
    last = len(values) - 1
    row, column = min(max(row, 0), last), min(max(column, 0), last)
    top, left = min(int(row), last - 1), min(int(column), last - 1)
    down, right = row - top, column - left
    corners = values[top : top + 2, left : left + 2]
    return ((1 - down) * (1 - right) * corners[0, 0] + (1 - down) * right * corners[0, 1]
            + down * (1 - right) * corners[1, 0] + down * right * corners[1, 1])  # fmt: skip


def test_a_warp_is_the_plain_recomputation():
    rng = np.random.default_rng(0)
    images, output = rng.uniform(-1, 1, (2, 1, 16, 16)), rng.normal(0, 2, (2, 4, 16, 16))
    edited = warp_and_paint(torch.tensor(images, dtype=torch.float32), torch.tensor(output, dtype=torch.float32))
    for image, wanted, found in zip(images[:, 0], output, edited[:, 0], strict=True):
        interior = slice(2, -2)  # where grid_sample's border, which clips the point first, is not reached
        np.testing.assert_allclose(found[interior, interior], plain_warp(image, wanted)[interior, interior], atol=2e-3)


def test_what_is_painted_is_smoothed_and_strengthened_alone():
    rng = np.random.default_rng(0)
    images, output = rng.uniform(-0.2, 0.2, (2, 1, 16, 16)), rng.normal(0, 0.3, (2, 4, 16, 16))
    images, output = torch.tensor(images, dtype=torch.float32), torch.tensor(output, dtype=torch.float32)
    unpainted = output.clone()
    unpainted[:, 1] = -60  # the mask covers nothing
    moved = warp_and_paint(images, unpainted)
    change = (warp_and_paint(images, output) - moved).numpy()
    smooth = gaussian_filter(change, (0, 0, 0.6, 0.6), mode="mirror", truncate=3.4)  # two pixels to each side
    edited = warp_and_paint(images, output, Paint(blur=0.6, gain=1.5))
    assert np.abs(smooth - change).max() > 0.01
    np.testing.assert_allclose(edited, moved.numpy() + 1.5 * smooth, atol=1e-6)

    local = gaussian_filter(smooth, (0, 0, 2, 2), mode="mirror", truncate=3.1)  # six pixels to each side
    edited = warp_and_paint(images, output, Paint(blur=0.6, highpass=2, gain=1.5))
    assert np.abs(local).max() > 0.01
    np.testing.assert_allclose(edited, moved.numpy() + 1.5 * (smooth - local), atol=1e-6)


def test_soft_paint_nears_black_and_white_and_is_as_the_other_in_between():
    images = torch.linspace(-1, 1, 256).reshape(1, 1, 16, 16).expand(3, -1, -1, -1)
    painted = torch.zeros(3, 4, 16, 16)
    painted[:, 1] = torch.tensor([-3.0, 60, 60])[:, None, None]  # of the mask: a little, all, all
    painted[1, 0], painted[2, 0] = 60, -60  # white, black
    edited = warp_and_paint(images, painted, Paint(gain=1.5, soft=True)).double()
    moved = warp_and_paint(images, torch.where(torch.arange(4) == 1, -60.0, 0.0)[:, None, None].expand(3, 4, 16, 16))
    masks, colours = (1 / (1 + math.exp(5)), 1, 1), (0, 1, -1)
    for image, mask, colour, found in zip(moved[:, 0].double(), masks, colours, edited[:, 0], strict=True):
        for old, new in zip(image.flatten().tolist(), found.flatten().tolist(), strict=True):
            change = 1.5 * mask * (colour - old)
            room = 1 - old if change > 0 else 1 + old
            wanted = old + math.copysign(room * (1 - math.exp(-abs(change) / room)), change) if room > 1e-6 else old
            assert new == pytest.approx(wanted, abs=2e-6)
    assert edited[1:].diff(dim=-1).min() > -1e-6, "what was lighter stays lighter"


def test_a_config_without_the_paint_s_settings_paints_plainly_and_wrong_ones_are_refused():
    config = replace(SMALL, output="warp")
    assert not {"paint_blur", "paint_highpass", "paint_gain", "paint_soft"} & config.to_dict().keys()
    for each in (config, replace(config, paint_blur=0.6, paint_gain=1.5), replace(config, paint_gain=2.0),
                 replace(config, paint_highpass=4.0, paint_soft=True)):  # fmt: skip
        assert GeneratorConfig.from_dict(each.to_dict(), "here") == each
    assert GeneratorConfig.from_dict(config.to_dict() | {"paint_gain": 2}, "here").paint_gain == 2
    for name, value in (("paint_blur", -1), ("paint_blur", math.nan), ("paint_gain", "1"), ("paint_gain", True),
                        ("paint_gain", 10**400), ("paint_blur", [0])):  # fmt: skip
        with pytest.raises(InputError, match=f"here: {name} is .*, expected a number from 0 to 4"):
            GeneratorConfig.from_dict(config.to_dict() | {name: value}, "here")
    with pytest.raises(InputError, match="here: paint_highpass is 6, expected a number from 0 to 5"):
        GeneratorConfig.from_dict(config.to_dict() | {"paint_highpass": 6}, "here")
    with pytest.raises(InputError, match="here: paint_soft is 1, expected true or false"):
        GeneratorConfig.from_dict(config.to_dict() | {"paint_soft": 1}, "here")
    with pytest.raises(InputError, match="here: paint_highpass is a setting of output warp, and output is plain"):
        GeneratorConfig.from_dict(config.to_dict() | {"output": "plain", "paint_highpass": 4.0}, "here")


def test_the_paint_s_settings_are_part_of_a_generator_s_fingerprint(tmp_path):
    save_generator(tmp_path, build_generator(replace(SMALL, output="warp")))
    plain = Editor.load(tmp_path, "cpu")
    write_json(tmp_path / "config.json", plain.generator.config.to_dict() | {"paint_blur": 0.6, "paint_gain": 1.5})
    smooth = Editor.load(tmp_path, "cpu")
    assert smooth.generator.config.paint_gain == 1.5
    assert smooth.fingerprint == plain.fingerprint + "+paint0.6,1.5"
    write_json(tmp_path / "config.json", plain.generator.config.to_dict() | {"paint_highpass": 4.0, "paint_soft": True})
    assert Editor.load(tmp_path, "cpu").fingerprint == plain.fingerprint + "+paint0,1,4,soft"


def test_a_warping_generator_starts_by_changing_nothing_much():
    images = torch.rand(2, 1, 16, 16) * 2 - 1
    edited = warp_and_paint(images, torch.zeros(2, 4, 16, 16))
    torch.testing.assert_close(edited, images * (1 - torch.tensor(-2.0).sigmoid()), atol=1e-5, rtol=0)
