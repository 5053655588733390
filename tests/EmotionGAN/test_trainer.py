"""Training a generator: losses against hand calculations, resuming, sampling of faces, and the overlay's fit."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import rotate

from core_code.core_utils.errors import InputError
from EmotionGAN.images import to_range
from EmotionGAN.learn import losses
from EmotionGAN.learn.config import LearnConfig
from EmotionGAN.learn.data import VIEW_NUMBERS, BalancedFaces, plan_edits, random_views
from EmotionGAN.learn.run import training_steps
from EmotionGAN.learn.steps import EditedBatch
from EmotionGAN.learn.trainer import Trainer
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.discriminator import Discriminator
from EmotionGAN.networks.overlay import Overlay, standardise
from EmotionGAN.sheets import sample_sheet

CONFIG = GeneratorConfig("gaussian", 16, "grey", 4, 1, "warp", "norms", "fer2013")
SETTINGS = LearnConfig(
    discriminator_steps=2, steps=6, batch_size=4, discriminator_batch_size=4, discriminator_width=4,
    discriminator_layers=2, generator_every=2, r1_every=2, guide_width=2,
)  # fmt: skip
CPU = torch.device("cpu")


def some_faces(count=40):
    rng = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 16, 16), generator=rng, dtype=torch.uint8), torch.arange(count) % 7


def a_run(steps_at_once, tmp_path=None):
    faces, labels = some_faces()
    data = BalancedFaces(faces, labels, 16, 1, CPU)
    trainer = Trainer(CONFIG, SETTINGS, 1, CPU)
    trainer.prepare(data)
    for taken, _ in enumerate(training_steps(trainer, data, torch.float32), start=1):
        if taken == steps_at_once:
            trainer.save(tmp_path / "checkpoint.pth")
            trainer = Trainer(CONFIG, SETTINGS, 1, CPU)
            trainer.load(tmp_path / "checkpoint.pth")
            for _ in training_steps(trainer, data, torch.float32):
                pass
            break
    return trainer


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    unbroken = a_run(None)
    for stop in (1, 3, 5, 7):
        resumed = a_run(stop, tmp_path)
        assert resumed.step == unbroken.step == 8
        for name in ("generator", "ema", "discriminator", "guides"):
            for a, b in zip(
                resumed.parts()[name].state_dict().values(), unbroken.parts()[name].state_dict().values(), strict=True
            ):
                assert torch.equal(a, b)


def test_guides_learn_from_real_faces_in_the_first_stage_and_only_predict_in_the_second():
    data = BalancedFaces(*some_faces(), 16, 1, CPU)
    trainer = Trainer(CONFIG, SETTINGS, 1, CPU)
    trainer.prepare(data)
    states = []
    for _ in training_steps(trainer, data, torch.float32):
        states.append({name: value.clone() for name, value in trainer.guides.state_dict().items()})
    learned, last = states[SETTINGS.discriminator_steps - 1], states[-1]
    assert any(not torch.equal(states[0][name], learned[name]) for name in learned)
    assert all(torch.equal(learned[name], last[name]) for name in learned)
    assert [logits.shape for logits in trainer.guides(torch.zeros(3, 1, 16, 16))] == [(3, 7), (3, 7)]


def test_a_checkpoint_of_other_networks_is_refused(tmp_path):
    Trainer(CONFIG, SETTINGS, 1, CPU).save(tmp_path / "checkpoint.pth")
    other = GeneratorConfig("gaussian", 16, "grey", 5, 1, "warp", "norms", "fer2013")
    with pytest.raises(InputError, match=r"checkpoint\.pth: holds a run of another"):
        Trainer(other, SETTINGS, 1, CPU).load(tmp_path / "checkpoint.pth")


def test_faces_are_sampled_by_the_square_root_of_their_emotions_share():
    counts = torch.tensor([100, 4, 100, 400, 100, 100, 100])
    labels = torch.repeat_interleave(torch.arange(7), counts)
    faces = BalancedFaces(torch.zeros(len(labels), 16, 16, dtype=torch.uint8), labels, 16, 1, CPU)
    _, sampled = faces.sample(20000, torch.Generator().manual_seed(0))
    expected = counts.double().sqrt() / counts.double().sqrt().sum()
    assert torch.bincount(sampled, minlength=7).double() / 20000 == pytest.approx(expected.numpy(), abs=0.015)


@pytest.mark.parametrize("size", [16, 24])
def test_faces_are_held_as_bytes_and_a_batch_is_what_it_is_of_all_as_floats(size):
    faces, labels = some_faces(200)
    data = BalancedFaces(faces, labels, size, 3, CPU)
    held = sum(value.untyped_storage().nbytes() for value in vars(data).values() if isinstance(value, torch.Tensor))
    assert held < 1.1 * faces.numel()
    every = to_range(faces, size, 1)
    assert torch.equal(data.images, every)
    images, found = data.sample(64, torch.Generator().manual_seed(0))
    assert images.shape == (64, 3, size, size) and torch.equal(images[:, 0], images[:, 2])
    for image, label in zip(images[:, :1], found, strict=True):
        same = [(image == face).all((1, 2, 3)) for face in (every, every.flip(-1))]
        assert (same[0] | same[1])[labels == label].any()


def test_agreement_is_the_divergence_both_ways():
    logits, distances = torch.randn(3, 7), torch.rand(3, 7) * 5
    p, q = np.exp(logits.numpy()), np.exp(-distances.numpy())
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    expected = ((p * np.log(p / q)).sum(1) + (q * np.log(q / p)).sum(1)).mean()
    assert float(losses.agreement(logits, distances)) == pytest.approx(expected, rel=1e-4)


def test_adversarial_losses_are_logistic():
    real, fake = torch.randn(4, 9), torch.randn(4, 9)
    expected = np.log1p(np.exp(-real.numpy())).mean() + np.log1p(np.exp(fake.numpy())).mean()
    assert float(losses.discriminator_adversarial(real, fake)) == pytest.approx(expected, rel=1e-5)
    expected = np.log1p(np.exp(-fake.numpy())).mean()
    assert float(losses.generator_adversarial(fake)) == pytest.approx(expected, rel=1e-5)


def test_r1_is_the_squared_gradient_of_the_mean_patch_logit_and_the_labels_conditional_logit():
    discriminator = Discriminator(16, 1, 4, 2)
    images, labels = torch.rand(2, 1, 16, 16), [3, 5]
    penalty = float(losses.r1_penalty(discriminator, images, torch.eye(7)[labels]).detach())
    discriminator.double()
    step, total = 1e-5, 0.0
    for b in range(2):
        for y in range(16):
            for x in range(16):
                nudged = images[b : b + 1].double().repeat(2, 1, 1, 1)
                nudged[0, 0, y, x] += step
                nudged[1, 0, y, x] -= step
                with torch.no_grad():
                    output = discriminator(nudged)
                    up, down = output.patches.mean(dim=1) + output.conditional[:, labels[b]]
                total += float((up - down) / (2 * step)) ** 2
    assert penalty == pytest.approx(total / 2, rel=1e-2)


def test_an_edit_is_judged_as_one_of_its_codes_emotions():
    conditional, shares = torch.randn(3, 7), torch.rand(3, 7)
    expected = (conditional.numpy() * shares.numpy()).sum(1)
    assert losses.conditional_logit(conditional, shares)[:, 0].numpy() == pytest.approx(expected, rel=1e-5)


def edits_of(config, count=400):
    """The edits of one step, at random weights, and the faces, labels and plan that they are of."""
    data = BalancedFaces(*some_faces(), 16, 1, CPU)
    trainer = Trainer(CONFIG, dataclasses.replace(SETTINGS, batch_size=count, **config), 1, CPU)
    images, labels = data.sample(count, torch.Generator().manual_seed(2))
    plan = plan_edits(trainer.config, torch.Generator().manual_seed(3), images)
    with torch.no_grad():
        return trainer, images, labels, plan, EditedBatch(trainer, images, labels, plan)


def test_codes_lie_in_the_boxes_of_the_emotions_that_the_edits_are_to_show():
    trainer, _, labels, plan, edits = edits_of({"neighbourhood": 0.1, "share_uniform": 0.25, "share_own": 0.5})
    wanted = edits.shares.argmax(1)
    centres = trainer.generator.centres().detach()
    offsets = (edits.codes - centres[wanted])[plan.near].abs()
    assert offsets.max() <= 0.1 + 1e-6 and offsets.mean() == pytest.approx(0.05, abs=0.005)
    assert (edits.shares[plan.near].max(1).values == 1).all()
    assert plan.near.float().mean() == pytest.approx(0.75, abs=0.07)
    own = (wanted == labels)[plan.near].float().mean()
    assert own == pytest.approx(0.5 + 0.5 / 7, abs=0.08)
    free = edits.codes[~plan.near]
    assert free.min() < -0.9 and free.max() > 0.9
    mixture = (-trainer.generator.distances(free)).softmax(-1)
    torch.testing.assert_close(edits.shares[~plan.near], mixture)


def test_published_codes_lie_at_the_centres_themselves():
    trainer, _, _, plan, edits = edits_of({"neighbourhood": 0.0, "share_own": 0.0})
    centres = trainer.generator.centres().detach()
    torch.testing.assert_close(edits.codes[plan.near], centres[plan.emotions[plan.near]])


def test_the_last_quarter_is_edited_at_the_code_of_the_face_and_the_first_at_a_second_code():
    trainer, images, _, _, edits = edits_of({}, count=8)
    with torch.no_grad():
        own = trainer.discriminator(images[6:]).codes.clamp(-1, 1)
        torch.testing.assert_close(edits.kept, trainer.generator(images[6:], own)[0])
        torch.testing.assert_close(edits.second, trainer.generator(images[:2], edits.other_codes)[0])
        torch.testing.assert_close(edits.edited, trainer.generator(images, edits.codes)[0])


def test_divergence_is_the_kl_from_the_wanted_shares_and_the_margin_is_free():
    logits, shares = torch.randn(5, 7), torch.rand(5, 7).softmax(-1)
    shares[0] = torch.eye(7)[2]
    expected = [entropy(share, softmax(row)) for share, row in zip(shares.numpy(), logits.numpy(), strict=True)]
    assert losses.divergence(logits, shares).numpy() == pytest.approx(np.array(expected), rel=1e-4)
    beyond = np.maximum(np.array(expected) - 0.4, 0).mean()
    assert float(losses.beyond_margin(logits, shares, 0.4)) == pytest.approx(beyond, rel=1e-4)


def test_local_change_ignores_other_lighting_and_sees_other_features():
    images = torch.rand(2, 1, 16, 16)
    lit = images + torch.linspace(0, 0.02, 16)
    assert losses.local_change(images, lit).max() < 1e-3
    other = images.clone()
    other[1, 0, 5, 5] += 1.0
    side, window = 16, 9
    window_sizes = sum((min(r + 5, side) - max(r - 4, 0)) * (min(c + 5, side) - max(c - 4, 0)) == window**2
                       for r in (5,) for c in (5,))  # fmt: skip
    assert window_sizes == 1
    change = losses.local_change(images, other)
    blurred = sum(
        1 / ((min(r + 5, side) - max(r - 4, 0)) * (min(c + 5, side) - max(c - 4, 0)))
        for r in range(1, 10) for c in range(1, 10) if (r, c) != (5, 5)
    )  # fmt: skip
    assert change[0] == 0
    assert float(change[1]) == pytest.approx((1 - 1 / 81 + blurred) / 256, rel=1e-4)


def test_edits_are_asked_to_differ_in_proportion_to_their_codes():
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.2, 0.2, (2, 200000, 2))
    usual = np.linalg.norm(points[0] - points[1], axis=1).mean()
    codes, others = torch.zeros(3, 2), torch.tensor([[usual, 0], [usual, 0], [usual / 2, 0]], dtype=torch.float32)
    lacking = losses.too_alike(torch.tensor([0.0, 0.03, 0.05]), codes, others, 0.06, 0.2)
    assert lacking.numpy() == pytest.approx([1.0, 0.5, 0.0], abs=0.01)


def faces_of_six_emotions(count=600, side=8):
    """Symmetric faces: much of twelve poses, a pattern of the emotion, a little noise; none of the seventh emotion."""
    rng = np.random.default_rng(3)

    def symmetric(amount):
        half = rng.normal(size=(amount, side, side // 2))
        return np.concatenate([half, half[..., ::-1]], axis=2).reshape(amount, -1)

    labels = np.arange(count) % 6
    raw = 6 * rng.normal(size=(count, 12)) @ symmetric(12) + 4 * symmetric(6)[labels]
    raw += rng.normal(size=raw.shape)
    return torch.tensor(raw.reshape(count, 1, side, side) / 60, dtype=torch.float32), labels


def test_the_overlays_fit_is_a_regression_on_the_leading_components():
    """Everyone's least squares, plus each emotion's ridge on what is left: by numpy, from the definition."""
    images, labels = faces_of_six_emotions()
    fitted = Overlay(8)
    fitted.fit(images, torch.tensor(labels))

    def standard(x):
        flat = x.reshape(len(x), -1).astype(np.float64)
        return (flat - flat.mean(1, keepdims=True)) / flat.std(1, ddof=1, keepdims=True)

    faces = np.concatenate([standard(images.numpy()), standard(images.numpy()[..., ::-1])])
    both = np.concatenate([labels, labels])
    centred = faces - faces.mean(0)
    rows = np.linalg.svd(centred, full_matrices=False).Vh
    known = np.concatenate([centred @ rows[:12].T, np.ones((len(faces), 1))], axis=1)
    shared = np.linalg.lstsq(known, faces, rcond=None)[0]
    penalty = np.diag([5e4] * 12 + [0])
    with torch.no_grad():
        mine = fitted.components(torch.tensor(faces[:5], dtype=torch.float32))
        mine = torch.einsum("bc,ecp->ebp", torch.cat([mine[:, :12], torch.ones(5, 1)], 1), fitted.expected).numpy()
    for emotion in range(7):
        own = both == emotion if emotion < 6 else np.ones(len(both), bool)
        x, y = known[own], (faces - known @ shared)[own]
        weights = shared + np.linalg.solve(x.T @ x + penalty, x.T @ y)
        np.testing.assert_allclose(mine[emotion], known[:5] @ weights, atol=5e-3)


def test_the_overlay_turns_a_face_towards_the_wanted_emotion():
    images, labels = faces_of_six_emotions()
    fitted = Overlay(8)
    fitted.fit(images, torch.tensor(labels))
    read = fitted.reader(fitted.components(standardise(images).flatten(1))).argmax(1)
    assert (read.numpy() == labels).mean() > 0.9
    with torch.no_grad():
        change = fitted(images[:6], torch.eye(7)[[1] * 6])
    means = np.stack([images[labels == e].mean(0)[0].numpy() for e in range(6)])
    for face in (0, 2, 3, 4, 5):
        meant = (means[1] - means[face]).ravel()
        assert np.corrcoef(change[face].flatten().numpy(), meant)[0, 1] > 0.5
    assert change[1].abs().mean() < 0.5 * change[0].abs().mean()


def test_views_are_moved_by_whole_pixels_and_keep_gradients():
    images = (torch.rand(32, 1, 32, 32) * 0.5).requires_grad_()
    numbers = torch.full((32, VIEW_NUMBERS), 0.5)
    numbers[:, :2] = torch.rand(32, 2, generator=torch.Generator().manual_seed(0))
    numbers[:, 6:] = 0  # the square that is cut out lies outside
    seen = random_views(images, numbers)
    seen.sum().backward()
    assert images.grad.abs().sum() > 0
    moves = ((numbers[:, :2] * 2 - 1) * 4).round().int()
    for image, view, (right, down) in zip(images.detach()[:, 0], seen.detach()[:, 0], moves.tolist(), strict=True):
        columns = (torch.arange(32) + right).clamp(0, 31)
        rows = (torch.arange(32) + down).clamp(0, 31)
        torch.testing.assert_close(view, image[rows][:, columns], atol=1e-4, rtol=0)
    assert len(moves.unique()) > 5


def test_views_change_contrast_and_brightness_and_lose_a_square():
    images, numbers = torch.rand(1, 1, 20, 20), torch.full((1, VIEW_NUMBERS), 0.5)
    numbers[0, 4], numbers[0, 5] = 1.0, 0.0  # brightest, least contrast
    view = random_views(images, numbers)[0, 0]
    expected = images.mean() + 0.7 * (images[0, 0] - images.mean()) + 0.2
    outside = torch.ones(20, 20, dtype=torch.bool)
    outside[7:14, 7:14] = False  # 0.35 of 20 pixels, from (0.5 * 1.35 - 0.35) * 20 = 6.5 on
    assert (view[~outside] == 0).all()
    torch.testing.assert_close(view[outside], expected[outside], atol=1e-5, rtol=0)


def test_turned_views_are_torchvisions_rotation():
    images, numbers = torch.rand(1, 1, 21, 21), torch.full((1, VIEW_NUMBERS), 0.5)
    numbers[0, 2], numbers[0, 6:] = 0.75, 0.0  # 0.1 radians
    view = random_views(images, numbers, turned=True)[0, 0]
    angle = math.degrees(0.1)
    expected = rotate(images, angle, interpolation=InterpolationMode.BILINEAR)[0, 0]
    centre = slice(5, 16)
    torch.testing.assert_close(view[centre, centre], expected[centre, centre], atol=1e-4, rtol=0)


def test_sheets_show_the_face_and_every_emotion():
    trainer = Trainer(CONFIG, SETTINGS, 1, CPU)
    faces, _ = some_faces(3)
    rows = sample_sheet(trainer.ema, faces)
    assert rows.shape == (3, 8, 16, 16) and rows.dtype == torch.uint8
    assert torch.equal(rows[:, 0], faces)
