"""Cutting a part out of a face, and putting the generator's change back there: against slices and a hand-made edit."""

import pytest
import torch
import torch.nn.functional as F

from core_code.datasets.fer2013 import FER2013
from EmotionGAN.editor import Editor, save_generator
from EmotionGAN.face_crops import FADE_WIDTH, cut_out, find_boxes, put_back
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.generator import build_generator

BOXES = torch.tensor([[8.0, 4.0, 40.0, 36.0], [0.0, 0.0, 48.0, 48.0]])


def test_a_cut_out_of_its_own_size_is_a_slice():
    images = torch.rand(2, 3, 48, 48) * 2 - 1
    torch.testing.assert_close(cut_out(images[:1], BOXES[:1], 32), images[:1, :, 4:36, 8:40], atol=1e-5, rtol=0)
    torch.testing.assert_close(cut_out(images[1:], BOXES[1:], 48), images[1:], atol=1e-5, rtol=0)


def test_beyond_the_border_the_border_repeats():
    image = torch.full((1, 1, 48, 48), 0.25)
    seen = cut_out(image, torch.tensor([[-10.0, -6.0, 30.0, 34.0]]), 64)
    torch.testing.assert_close(seen, torch.full((1, 1, 64, 64), 0.25))


def test_a_change_goes_back_to_its_place_and_nowhere_else():
    change = torch.ones(2, 1, 96, 96)
    back = put_back(change, BOXES, 48)
    assert (back[0, 0, :4] == 0).all() and (back[0, 0, 36:] == 0).all()
    assert (back[0, 0, :, :8] == 0).all() and (back[0, 0, :, 40:] == 0).all()
    torch.testing.assert_close(back[0, 0, 12:28, 16:32], torch.ones(16, 16))
    # from the box's edge the change grows evenly over FADE_WIDTH of its side
    assert back[0, 0, 20, 8:12].tolist() == pytest.approx(
        [(pixel + 0.5) / (32 * FADE_WIDTH) for pixel in range(4)], abs=0.02
    )


def test_only_the_box_of_a_face_is_edited(tmp_path):
    torch.manual_seed(0)
    generator = build_generator(GeneratorConfig(image_size=32, width=4, blocks=1))
    save_generator(tmp_path / "made", generator, half_precision=False)
    editor = Editor.load(tmp_path / "made", torch.device("cpu"))
    faces = torch.randint(0, 256, (1, 48, 48), dtype=torch.uint8)
    codes = torch.tensor([[0.3, -0.4]])
    edited = editor.edit(faces, codes, BOXES[:1])
    outside = torch.ones(48, 48, dtype=torch.bool)
    outside[4:36, 8:40] = False
    assert torch.equal(edited[0][outside], faces[0][outside])
    seen = faces[:, None, 4:36, 8:40].float() / 127.5 - 1
    with torch.no_grad():
        change = (generator.eval()(seen.expand(-1, 3, -1, -1), codes)[0] - seen).mean(dim=1)[0]
    middle = slice(8, 24)
    expected = ((seen[0, 0] + change)[middle, middle] + 1) * 127.5
    found = edited[0, 4:36, 8:40][middle, middle].float()
    assert (found - expected.clamp(0, 255)).abs().max() <= 1


def test_dlib_finds_sample_faces_and_says_where_there_is_none():
    pytest.importorskip("dlib")
    faces = FER2013(split="train", dataset="sample").faces[:20]
    blank = torch.full((1, 48, 48), 128, dtype=torch.uint8)
    boxes = find_boxes(torch.cat([faces, blank]))
    found = boxes.isfinite().all(dim=1)
    assert found.sum() >= 10 and not found[-1]
    sides = boxes[found][:, 2:] - boxes[found][:, :2]
    assert (sides[:, 0] == sides[:, 1]).all() and (sides > 20).all() and (sides < 60).all()
    assert F.l1_loss(boxes[found].view(-1, 2, 2).mean(dim=1), torch.full((int(found.sum()), 2), 24.0)) < 6
