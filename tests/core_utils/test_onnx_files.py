"""ONNX files of classifiers and generators: equal to PyTorch at any batch size, described by their metadata."""

import json
import sys

import numpy as np
import pytest
import torch
from small_faces import smooth_faces
from torch import nn

from core_code import export
from core_code.core_utils.acceleration import accelerate
from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError
from core_code.core_utils.onnx_files import export_onnx
from core_code.core_utils.transforms import evaluation_view
from core_code.models.emotion_net import EmotionNet
from EmotionGAN.editor import Editor, save_generator
from EmotionGAN.export.__main__ import main as export_generator
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.generator import build_generator

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def session(path):
    found = onnxruntime.InferenceSession(str(path))
    metadata = found.get_modelmeta().custom_metadata_map
    return found, {name: json.loads(value) for name, value in metadata.items()}


@pytest.mark.parametrize("float16", [False, True])
def test_a_classifier(tmp_path, small, float16, capsys):
    torch.manual_seed(0)
    net = EmotionNet(small).eval()
    torch.nn.init.normal_(net.head.weight, std=1)
    rest = {key: None for key in ("optimizer", "scheduler", "loss", "seed", "history")}
    state = {**rest, "net": net.state_dict(), "epoch": 1, "settings": {"image_size": 32}}
    path = CheckpointFiles(tmp_path, small, "A").save("best_validation", state)
    export.main(["--checkpoint", str(path), "--float16", str(float16)])
    assert "faces uint8 [batch, 48, 48] -> logits, probabilities [batch, 7]" in capsys.readouterr().out
    onnx_file, metadata = session(path.with_suffix(".onnx"))
    assert metadata["emotions"] == list(EMOTIONS) and (metadata["view"], metadata["size"]) == (32, 48)
    for count in (1, 3):
        faces = smooth_faces(count)
        logits, probabilities = onnx_file.run(None, {"faces": faces})
        with torch.no_grad():
            expected = net(evaluation_view(torch.from_numpy(faces), 32))
        np.testing.assert_allclose(logits, expected, atol=0.05 if float16 else 1e-4)
        np.testing.assert_allclose(probabilities, torch.from_numpy(logits).softmax(1), atol=1e-6)


@pytest.mark.parametrize("float16", [False, True])
def test_the_shipped_generator(tmp_path, float16):
    export_generator(["--output", str(tmp_path / "g.onnx"), "--float16", str(float16)])
    onnx_file, metadata = session(tmp_path / "g.onnx")
    editor = Editor.load(device="cpu", accelerate=False)
    assert (metadata["size"], metadata["range_of_codes"]) == (editor.image_size, [-1, 1])
    assert metadata["emotions"] == list(EMOTIONS)
    np.testing.assert_allclose(metadata["codes"], editor.space.centres, atol=1e-6)
    for count in (1, 3):
        faces = smooth_faces(count)
        codes = np.array(metadata["codes"][:count], dtype=np.float32)
        (edited,) = onnx_file.run(None, {"faces": faces, "codes": codes})
        expected = editor.edit(torch.from_numpy(faces), torch.from_numpy(codes)).numpy()
        assert np.abs(edited.astype(int) - expected).max() <= (3 if float16 else 1)


@pytest.mark.parametrize("output, codes, colours, parametrisation",
                         [("warp", "norms", "grey", "gaussian"), ("plain", "maps", "BGR", "linear")])  # fmt: skip
def test_other_generators(tmp_path, output, codes, colours, parametrisation):
    torch.manual_seed(0)
    config = GeneratorConfig(parametrisation, image_size=32, colours=colours, width=8, blocks=1, output=output,
                             codes=codes)  # fmt: skip
    generator = build_generator(config).eval()
    save_generator(tmp_path / "mine", generator, half_precision=False)
    export_generator(["--generator", str(tmp_path / "mine"), "--output", str(tmp_path / "g.onnx")])
    onnx_file, _ = session(tmp_path / "g.onnx")
    shape = (3, 32, 32) if colours == "grey" else (3, 32, 32, 3)
    faces = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    points = torch.tensor([[0.1, 0.2], [-0.5, 1], [0, 0]])
    (edited,) = onnx_file.run(None, {"faces": faces, "codes": points.numpy()})
    images = torch.from_numpy(faces).float() / 127.5 - 1
    images = images[:, None] if colours == "grey" else images.permute(0, 3, 1, 2)[:, [2, 1, 0]]
    with torch.no_grad():
        expected = (generator(images, points)[0] + 1) * 127.5
    expected = expected[:, 0] if colours == "grey" else expected[:, [2, 1, 0]].permute(0, 2, 3, 1)
    assert np.abs(edited - expected.numpy()).max() <= 0.51


class Noisy(torch.nn.Module):
    def forward(self, x):
        return x + (1 if torch.onnx.is_in_onnx_export() else 0)


def test_a_file_that_computes_something_else_is_not_written(tmp_path):
    with pytest.raises(InputError, match=r"onnxruntime's outputs differ from PyTorch's by 1, not written"):
        export_onnx(tmp_path / "x.onnx", Noisy(), {"x": torch.zeros(2, 3)}, ("y",), {}, 0.1)
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.parametrize("command", [export.main, export_generator])
def test_no_other_kind_of_file_is_written_over(tmp_path, command):
    for name in ("checkpoint.pth", "photo.png", "onnx"):
        (tmp_path / name).write_bytes(b"mine")
        with pytest.raises(InputError, match=rf"{name}: unknown ending .*, expected \.onnx"):
            command(["--output", str(tmp_path / name)])
        assert (tmp_path / name).read_bytes() == b"mine"


@pytest.mark.parametrize("command", [export.main, export_generator])
@pytest.mark.parametrize("place, said", [("folder.onnx", "is a folder"), ("file/x.onnx", "file: is a file")])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_exported(tmp_path, monkeypatch, command, place, said):
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: pytest.fail("exported"))
    with pytest.raises(InputError, match=said):
        command(["--output", str(tmp_path / place)])


def test_without_onnx_one_line_tells_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match="onnx is missing, which ONNX files need: pip install onnx onnxruntime"):
        export_generator(["--output", str(tmp_path / "g.onnx")])


def test_an_accelerated_net_has_a_file_of_any_batch_size(tmp_path):
    torch.manual_seed(1)
    net = accelerate(nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 5, 3, 1, 1), nn.Conv2d(5, 2, 1))).eval()
    views = torch.rand(4, 3, 4, 4)  # the maps have 2x2 pixels
    assert export_onnx(tmp_path / "net.onnx", net, {"views": views}, ["maps"], {}, 1e-5) < 1e-5
