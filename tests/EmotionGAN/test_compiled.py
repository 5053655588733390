"""Compiling the generator: where it pays, and that an editor which cannot be compiled stays as it is."""

import json

import pytest
import torch

from core_code.datasets.augmentations import compiling
from core_code.datasets.augmentations.compiling import COMPILE_SECONDS, choose_editor, compile_editor, seconds_saved
from EmotionGAN.editor import Editor, save_generator
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.generator import build_generator


@pytest.fixture
def editor(tmp_path) -> Editor:
    torch.manual_seed(0)
    config = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="fer2013")
    save_generator(tmp_path / "tiny", build_generator(config))
    return Editor.load(tmp_path / "tiny", torch.device("cpu"))


@pytest.fixture
def pretended(monkeypatch):
    """Compiling succeeds at once and changes nothing; notes the batch sizes that it was asked for."""
    asked = []
    monkeypatch.setattr(compiling, "compile_editor", lambda editor, size: asked.append(size) or editor)
    return asked


def enough(editor: Editor) -> int:
    """Images of which compiling saves three times what it takes."""
    return int(3 * COMPILE_SECONDS / seconds_saved(editor, 1))


def test_auto_compiles_for_many_images_alone(editor, tmp_path, pretended, capsys):
    assert choose_editor(editor, None, tmp_path / "made", 1000, 8) == (editor, False)
    assert choose_editor(editor, None, tmp_path / "made", enough(editor), 8) == (editor, True)
    assert pretended == [8]
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("generator not compiled: expected to save") and "generator compiled: expected" in said[1]


def test_auto_keeps_to_what_the_images_there_were_made_with(editor, tmp_path, pretended):
    for there, expected in (({"compiled": True}, True), ({"compiled": False}, False), ({}, False)):
        (tmp_path / "manifest.json").write_text(json.dumps(there))
        for images in (1, enough(editor)):
            assert choose_editor(editor, None, tmp_path, images, 8)[1] is expected


def test_the_user_decides_before_the_manifest(editor, tmp_path, pretended):
    (tmp_path / "manifest.json").write_text(json.dumps({"compiled": False}))
    assert choose_editor(editor, True, tmp_path, 1, 8)[1] is True
    assert choose_editor(editor, False, tmp_path, enough(editor), 8)[1] is False


def test_in_bfloat16_it_pays_with_matrix_units_alone(editor, monkeypatch):
    editor.dtype = torch.bfloat16
    for there in (False, True):
        monkeypatch.setattr(compiling, "has_matrix_units", lambda device, there=there: there)
        assert (seconds_saved(editor, 10**9) > 0) is there


def test_where_it_was_not_measured_to_pay_auto_does_not_compile(editor):
    editor.dtype, editor.device = torch.float32, torch.device("cuda")
    assert seconds_saved(editor, 10**9) == 0


def test_a_compiler_that_is_missing_is_said_in_one_line_and_nothing_changes(editor, tmp_path, monkeypatch, capsys):
    def missing(forward, dynamic):
        def fail(*_):
            raise OSError("No working C++ compiler found in: ('g++',)\nand more")

        return fail

    monkeypatch.setattr(compiling.torch, "compile", missing)
    with pytest.raises(RuntimeError, match=r"^No working C\+\+ compiler found in: \('g\+\+',\)$"):
        compile_editor(editor, 4)
    assert choose_editor(editor, True, tmp_path, 1, 4) == (editor, False)
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "not compiled: compiling failed (No working C++ compiler" in said
    assert editor.edit(torch.zeros(2, 48, 48, dtype=torch.uint8), torch.zeros(2, 2)).shape == (2, 48, 48)


@pytest.mark.slow
def test_a_compiled_generator_makes_the_same_images_but_for_last_bits(editor):
    faces = torch.randint(0, 256, (8, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    codes = torch.rand(8, 2, generator=torch.Generator().manual_seed(2)) * 2 - 1
    plain, made = editor.edit(faces, codes), compile_editor(editor, 8).edit(faces, codes)
    assert (plain.int() - made.int()).abs().max() <= 1 and plain.float().std() > 1
    assert torch.equal(editor.edit(faces, codes), plain)
