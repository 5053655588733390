"""python -m core_code.evaluate: accuracies, votes, copies of training faces, files, errors of one line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from PIL import Image
from printed_tables import printed_tables
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    silhouette_score,
    top_k_accuracy_score,
)
from torchvision.transforms import functional
from training_runs import make_augmentations

from core_code import evaluate
from core_code.core_utils.checkpoints import CheckpointFiles
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.files import atomic_write
from core_code.core_utils.plots.palette import EMOTION_COLOURS
from core_code.core_utils.transforms import evaluation_view
from core_code.datasets.fer2013 import FER2013
from core_code.evaluation import predictions, report, tsne
from core_code.models.emotion_net import EmotionNet

ROOT = Path(evaluate.__file__).parents[1]
SIZES = {"A": 32, "B": 40}


@pytest.fixture
def there(tmp_path, monkeypatch, fer2013_csv, small, small_pictures):
    """A working folder with data, the first three test faces also in Training, and two trained nets, A and B."""
    monkeypatch.chdir(tmp_path)
    path = fer2013_csv(tmp_path / "data" / "fer2013", train=14, val=21, test=21) / "icml_face_data.csv"
    header, *rows = path.read_text().splitlines()
    copies = [row.replace("PrivateTest", "Training") for row in rows if "PrivateTest" in row][:3]
    path.write_text("\n".join([header, *rows, *copies]) + "\n")
    for name in SIZES:
        save_net("small", name)

    def run(*arguments: str) -> dict:
        evaluate.main(["--net_name", "small", "--precision", "fp32", "--device", "cpu", *arguments])
        return json.loads(Path("plots_output/evaluation_small.json").read_text())

    return run


@pytest.fixture
def undrawn(monkeypatch):
    """Pictures are files without content: drawing them is what takes time."""

    def leave_empty(*given: object) -> Path:
        (path,) = (value for value in given if isinstance(value, Path))
        atomic_write(path, lambda file: None)
        return path

    for name in ("plot_confusion_matrix", "plot_reliability", "plot_most_wrong"):
        monkeypatch.setattr(report, name, leave_empty)


def save_net(net_name: str, experiment: str, kind: str = "best_validation", seed: int = 0) -> None:
    """A checkpoint of a net whose answers differ from face to face."""
    torch.manual_seed(seed + SIZES[experiment])
    net = EmotionNet(net_name)
    torch.nn.init.normal_(net.head.weight, std=0.5 if experiment == "A" else 0.3)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    net.train()(evaluation_view(FER2013(split="val").faces, SIZES[experiment]))
    rest = {key: None for key in ("optimizer", "scheduler", "loss", "seed", "history")}
    state = {**rest, "net": net.state_dict(), "epoch": 1, "settings": {"image_size": SIZES[experiment]}}
    CheckpointFiles(Path("checkpoints"), net_name, experiment).save(kind, state)


def logits_of(experiment: str, faces: torch.Tensor, kind: str = "best_validation") -> torch.Tensor:
    """The net's answers, worked out here."""
    net = EmotionNet("small").eval()
    state = torch.load(f"checkpoints/ckpt_small_{experiment}_{kind}.pth", weights_only=True)
    net.load_state_dict(state["net"])
    with torch.no_grad():
        return net(evaluation_view(faces, SIZES[experiment]))


def check(figures: dict, logits: torch.Tensor, labels: torch.Tensor) -> None:
    """The written figures against scikit-learn's."""
    predictions = logits.argmax(1)
    assert figures["top1"] == pytest.approx(accuracy_score(labels, predictions))
    assert figures["top2"] == pytest.approx(top_k_accuracy_score(labels, logits, k=2, labels=range(7)))
    assert figures["mean_per_class"] == pytest.approx(balanced_accuracy_score(labels, predictions))
    assert figures["macro_f1"] == pytest.approx(f1_score(labels, predictions, average="macro"))
    assert figures["confusion"] == confusion_matrix(labels, predictions, labels=range(7)).tolist()
    assert figures["faces"] == len(labels)


def test_one_experiment_on_val_and_test(there, capsys):
    splits = there("--exp_names", "A")["splits"]
    for split in ("val", "test"):
        data = FER2013(split=split)
        logits = logits_of("A", data.faces)
        assert len(logits.argmax(1).unique()) > 2
        assert list(splits[split]) == ["A"]
        check(splits[split]["A"], logits, data.labels)
    drawn = (
        "confusion_matrix_small_A_val",
        "confusion_matrix_small_A_test",
        "reliability_small_A",
        "most_wrong_small_A",
    )
    assert {path.stem for path in Path("plots_output").glob("*.png")} == set(drawn)
    for name in drawn:
        with Image.open(f"plots_output/{name}.png") as image:
            assert min(image.size) > 100 and max(image.size) > 300
    assert f"{100 * splits['test']['A']['top1']:.2f}" in capsys.readouterr().out


def test_two_experiments_vote(undrawn, there):
    splits = there("--exp_names", "A", "B")["splits"]
    data = FER2013(split="test")
    answers = [logits_of(name, data.faces) for name in SIZES]
    for name, logits in zip(SIZES, answers, strict=True):
        check(splits["test"][name], logits, data.labels)
    surest = [max(pair, key=lambda logits: logits.max().item()) for pair in zip(*answers, strict=True)]
    check(splits["test"]["vote (surest)"], torch.stack(surest), data.labels)
    mean = (answers[0].double().softmax(1) + answers[1].double().softmax(1)) / 2
    check(splits["test"]["vote (mean of softmaxes)"], mean, data.labels)
    pictures = {path.name for path in Path("plots_output").glob("*vote*_test.png")}
    assert pictures == {"confusion_matrix_small_vote_surest_test.png", "confusion_matrix_small_vote_mean_test.png"}


def test_every_model_is_compared_with_the_first_one_face_by_face(undrawn, there, capsys):
    found = there("--exp_names", "A", "B")
    assert found["compared_with"] == "A"
    data = FER2013(split="test")
    right = [(logits_of(name, data.faces).argmax(1) == data.labels).tolist() for name in SIZES]
    only_a = sum(a and not b for a, b in zip(*right, strict=True))
    only_b = sum(b and not a for a, b in zip(*right, strict=True))
    test = found["splits"]["test"]
    assert only_a + only_b > 0 and test["A"]["mcnemar"] is None
    p = binomtest(only_b, only_a + only_b, 0.5).pvalue
    wanted = {"only_this": only_b, "only_other": only_a, "p_value": pytest.approx(p), "method": "exact"}
    assert test["B"]["mcnemar"] == wanted
    assert test["vote (surest)"]["mcnemar"]["method"] == "exact"
    tables = printed_tables(capsys.readouterr().out)
    assert list(tables[0][0]) == [
        "val (21 faces)", "top-1", "top-2", "mean per class", "macro F1", "calibration error",
        "p (McNemar, against A)",
    ]  # fmt: skip
    (row,) = [row for row in tables[1] if row["test (21 faces)"] == "B"]
    figures = [test["B"][key] for key in ("top1", "top2", "mean_per_class", "macro_f1", "calibration_error")]
    assert list(row.values())[1:6] == [f"{100 * figure:.2f}" for figure in figures]
    assert row["p (McNemar, against A)"] == f"{p:.2g}"


@pytest.mark.parametrize("tta", ["flip", "ten_crop"])
def test_augmentation_at_test_time_stands_beside_the_figures_without_it(undrawn, there, capsys, tta):
    plain = there("--exp_names", "A", "B")["splits"]
    splits = there("--exp_names", "A", "B", "--tta", tta)["splits"]
    data = FER2013(split="test")
    answers = {}
    for name, size in SIZES.items():
        net = EmotionNet("small").eval()
        net.load_state_dict(torch.load(f"checkpoints/ckpt_small_{name}_best_validation.pth")["net"])
        side = round(size * 256 / 224)
        resized = functional.resize(data.faces[:, None].expand(-1, 3, -1, -1) / 255, [side, side], antialias=True)
        views = functional.ten_crop(resized, [size, size])
        if tta == "flip":
            view = functional.center_crop(resized, [size, size])
            views = [view, functional.hflip(view)]
        with torch.no_grad():
            answers[name] = sum(net(view) for view in views) / len(views)
        check(splits["test"][f"{name}, {tta}"], answers[name], data.labels)
    mean = sum(logits.double().softmax(1) for logits in answers.values()) / 2
    check(splits["test"][f"vote (mean of softmaxes), {tta}"], mean, data.labels)
    for split, models in plain.items():
        assert {name: splits[split][name] for name in models} == models
        assert len(splits[split]) == 2 * len(models)
    assert f"| A, {tta} " in capsys.readouterr().out
    assert not list(Path("plots_output").glob(f"*{tta}*"))


@pytest.mark.parametrize("on", ["val", "train", "augmentations"])
def test_a_map_of_the_features_with_its_silhouettes(undrawn, there, monkeypatch, saved_figures, on):
    monkeypatch.setattr(tsne, "MOST_FACES", 19)
    if on == "augmentations":
        make_augmentations()
        saved_figures.clear()
    maps = there("--exp_names", "A", "--tsne", "--tsne_on", on)["tsne"]
    assert Path(f"plots_output/tsne_small_A_{on}.png").stat().st_size
    ((axes,),) = (figure.axes for figure in saved_figures)
    points, labels, title = *points_of(axes), axes.get_title(loc="left")
    assert [text.get_text().split()[0] for text in axes.get_legend().get_texts()] == list(EMOTIONS)
    found = maps["experiments"]["A"]
    assert maps["on"] == on and points.shape == ((17, 2) if on == "train" else (19, 2))
    assert found["silhouette_on_map"] == pytest.approx(silhouette_score(points, labels))
    assert f"{found['silhouette']:.3f} in the features" in title
    again = there("--exp_names", "A", "--tsne", "--tsne_on", on)["tsne"]
    assert again == maps and (points_of(saved_figures[1].axes[0])[0] == points).all()


def points_of(axes: Axes) -> tuple[np.ndarray, list[int]]:
    """The points of a map float [N,2] and, by their colours, their emotions' labels."""
    (dots,) = axes.collections
    colours = [colour.lower() for colour in EMOTION_COLOURS]
    return np.asarray(dots.get_offsets()), [colours.index(to_hex(colour)) for colour in dots.get_facecolors()]


def test_the_silhouette_is_of_what_goes_into_the_last_layer(undrawn, there):
    found = there("--exp_names", "A", "--tsne", "True")["tsne"]["experiments"]["A"]["silhouette"]
    net = EmotionNet("small").eval()
    net.load_state_dict(torch.load("checkpoints/ckpt_small_A_best_validation.pth")["net"])
    caught = []
    net.head.register_forward_hook(lambda module, inputs, output: caught.append(inputs[0].double().numpy()))
    val = FER2013(split="val")
    with torch.no_grad():
        net(evaluation_view(val.faces, SIZES["A"]))
    assert found == pytest.approx(silhouette_score(caught[0], val.labels), abs=1e-4)


def test_a_map_of_augmentations_that_are_not_there_is_an_error_before_anything_is_written(there):
    with pytest.raises(InputError, match="fer2013_augmentations"):
        there("--exp_names", "A", "--tsne", "--tsne_on", "augmentations")
    assert not Path("plots_output").exists()


@pytest.mark.parametrize("more", [["--tsne"], [], ["--tta", "flip"]])
def test_a_net_that_is_not_finite_is_an_error_before_anything_is_written(there, more):
    path = Path("checkpoints/ckpt_small_A_best_validation.pth")
    state = torch.load(path, weights_only=True)
    for name, values in state["net"].items():
        if name.endswith("weight"):
            values.fill_(1e38)
    torch.save(state, path)
    with pytest.raises(InputError, match="small, A, val: the net's outputs are not all finite"):
        there("--exp_names", "A", *more)
    assert not Path("plots_output").exists()


@pytest.mark.parametrize("value, said", [(0.0, "has collapsed"), (3.5, "has collapsed"), (np.nan, "not all finite"),
                                         (1e300, "not all finite")])  # fmt: skip
def test_features_without_a_map_are_an_error(value, said):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 8)) * 1e300 if value == 1e300 else np.full((20, 8), value)
    with pytest.raises(InputError, match=said):
        tsne.map_features(features, np.arange(20) % 7, 1)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_features_does_not_matter_to_their_map(scale):
    features = np.random.default_rng(0).normal(size=(20, 8))
    points, _ = tsne.map_features(scale * features, np.arange(20) % 7, 1)
    np.testing.assert_allclose(points, tsne.map_features(features, np.arange(20) % 7, 1)[0], atol=1e-3)


def test_figures_come_as_csv_files_too(undrawn, there):
    splits = there("--exp_names", "A", "B")["splits"]
    models = pd.read_csv("plots_output/evaluation_small.csv").set_index(["split", "model"])
    assert len(models) == sum(map(len, splits.values()))
    row, figures = models.loc["test", "B"], splits["test"]["B"]
    for name in ("top1", "top2", "mean_per_class", "macro_f1", "calibration_error", "faces"):
        assert row[name] == pytest.approx(figures[name])
    assert row.p_value == pytest.approx(figures["mcnemar"]["p_value"])
    assert pd.isna(models.loc["test", "A"].p_value)
    emotions = pd.read_csv("plots_output/evaluation_small_emotions.csv")
    rows = emotions[(emotions["split"] == "test") & (emotions["model"] == "A")]
    data = FER2013(split="test")
    wanted = precision_recall_fscore_support(data.labels, logits_of("A", data.faces).argmax(1), zero_division=0)
    assert list(rows.emotion) == list(EMOTIONS)
    for column, values in zip(("precision", "recall", "f1", "faces"), wanted, strict=True):
        assert rows[column].fillna(0).tolist() == pytest.approx(values.tolist())


def test_copies_are_found_as_by_comparing_every_pair():
    generator = torch.Generator().manual_seed(0)
    faces, others = (torch.randint(0, 3, (count, 2, 2), generator=generator, dtype=torch.uint8) for count in (60, 50))
    wanted = [not any(torch.equal(face, other) for other in others) for face in faces]
    assert 0 < sum(wanted) < 60
    assert predictions.without_copies(faces, others).tolist() == wanted


def test_test_faces_that_stand_in_training_are_left_out_beside_the_whole(undrawn, there):
    splits = there("--exp_names", "A")["splits"]
    data = FER2013(split="test")
    assert splits["test"]["A"]["faces"] == 21 and splits["test_not_in_training"]["A"]["faces"] == 18
    check(splits["test_not_in_training"]["A"], logits_of("A", data.faces[3:]), data.labels[3:])
    assert set(there("--exp_names", "A", "--max_faces", "14")["splits"]) == {"val", "test"}, "without copies it is test"


def test_other_checkpoints_of_a_run_and_another_size(undrawn, there):
    save_net("small", "A", "last_trained_epoch", seed=9)
    found = there("--exp_names", "A", "--checkpoint", "last_trained_epoch")
    data = FER2013(split="val")
    assert found["checkpoint"] == "last_trained_epoch"
    check(found["splits"]["val"]["A"], logits_of("A", data.faces, "last_trained_epoch"), data.labels)
    net = logits_of("B", data.faces)
    at_40 = there("--exp_names", "B", "--image_size", "40")["splits"]["val"]["B"]
    check(at_40, net, data.labels)


@pytest.mark.parametrize("damage", ["missing", "truncated", "another net", "another architecture"])
def test_checkpoints_that_do_not_fit_are_errors_of_one_line(there, capsys, damage):
    path = Path("checkpoints/ckpt_small_A_best_validation.pth")
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:50000])
    elif damage == "another net":
        path.write_bytes(Path("checkpoints/ckpt_small_B_best_validation.pth").read_bytes())
    else:
        state = torch.load(path, weights_only=True)
        del state["net"]["nn_model.conv5.0.weight"]
        torch.save(state, path)
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: there("--exp_names", "A", "B"))
    assert ended.value.code == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and errors[0].startswith("error: ") and str(path) in errors[0]
    assert not Path("plots_output").exists()


def test_from_the_shell_an_error_is_one_line_and_status_2(tmp_path):
    command = [sys.executable, "-m", "core_code.evaluate", "--net_name", "resnet18", "--exp_names", "A",
               "--output_root", str(tmp_path)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path}/checkpoints/ckpt_resnet18_A_best_validation.pth: no such checkpoint\n"
