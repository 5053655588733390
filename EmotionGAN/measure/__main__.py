"""Judge a generator by an independent classifier: `python -m EmotionGAN.measure`.

The classifier must have learned from real faces alone (train_model.py with --emotion_transform_prob 0).
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core_code.core_utils import flags
from core_code.core_utils.errors import run_command

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from core_code.core_utils.checkpoints import CheckpointFiles
    from EmotionGAN.editor import Editor

LINE_POINTS = 11
SHEET_FACES = 10


@dataclass(frozen=True)
class Classifier:
    """An independent classifier: faces uint8 [B,H,W] to logits float [B,7] and features float [B,D], on the CPU."""

    read: "Callable[[Tensor], tuple[Tensor, Tensor]]"
    name: str


def edit_all(editor: "Editor", faces: "Tensor", codes: "Tensor", batch_size: int = 128) -> "Tensor":
    """Edits uint8 [B,H,W] on the CPU of faces at codes [B,2], with a progress bar."""
    import torch
    from tqdm import tqdm

    batches = zip(faces.split(batch_size), codes.split(batch_size), strict=True)
    total = -(-len(faces) // batch_size)
    edited = [
        editor.edit(*batch).cpu()
        for batch in tqdm(batches, total=total, desc="editing", unit="batch", leave=False, delay=2)
    ]
    return torch.cat(edited)


def measure(editor: "Editor", reader: Classifier, faces: "Tensor", labels: "Tensor") -> dict[str, Any]:
    """Edit every face to each other emotion's centre and judge the edits.

    faces: uint8 [N,H,W]; labels: int64 [N]. Rates, probabilities and changes are in 0..1; `cycle_change` is the
    change left when the edit is edited back to the face's own emotion's centre; Frechet distances are in the
    reader's features, edits against real faces of the same emotion, beside the distance of the real faces' halves.
    """
    import torch

    from EmotionGAN.measure import metrics as quality

    centres = editor.space.centres
    real_logits, real_features = reader.read(faces)
    per_emotion, changes = {}, []
    for target, emotion in enumerate(editor.space.emotions):
        shown = labels == target
        sources = faces[~shown]
        edited = edit_all(editor, sources, centres[target].expand(len(sources), 2))
        returned = edit_all(editor, edited, centres[labels[~shown]])
        logits, features = reader.read(edited)
        changes.append(
            (
                quality.mean_change(sources, edited),
                quality.structural_similarity(sources, edited),
                quality.mean_change(sources, returned),
                len(sources),
            )
        )
        real = real_features[shown]
        per_emotion[emotion] = {
            "read_in_edits": (logits.argmax(1) == target).float().mean().item(),
            "confidence_in_edits": logits.softmax(1)[:, target].mean().item(),
            "read_in_real": (real_logits[shown].argmax(1) == target).float().mean().item(),
            "confidence_in_real": real_logits[shown].softmax(1)[:, target].mean().item(),
            "frechet": quality.frechet_distance(features, real),
            "frechet_real_halves": quality.frechet_distance(real[::2], real[1::2]),
        }
    table = torch.tensor(changes, dtype=torch.float64)
    weights = table[:, 3] / table[:, 3].sum()
    change, similarity, cycle = (weights @ table[:, :3]).tolist()
    return {
        "generator": editor.name,
        "generator_fingerprint": editor.fingerprint,
        "classifier": reader.name,
        "faces": len(faces),
        "accuracy_on_real": (real_logits.argmax(1) == labels).float().mean().item(),
        "target_read": sum(row["read_in_edits"] for row in per_emotion.values()) / len(per_emotion),
        "emotions": per_emotion,
        "change": change,
        "similarity": similarity,
        "cycle_change": cycle,
        "smoothness": measure_lines(editor, reader, faces),
    }


def measure_lines(editor: "Editor", reader: Classifier, faces: "Tensor", count: int = 100) -> dict[str, list[float]]:
    """Mean probability of each emotion on the way to it from Neutral's centre, at LINE_POINTS even steps."""
    import torch

    faces = faces[:count]
    start = editor.space.centres[editor.space.emotions.index("Neutral")]
    lines = {}
    for target, emotion in enumerate(editor.space.emotions):
        if emotion == "Neutral":
            continue
        ways = torch.linspace(0, 1, LINE_POINTS)[:, None]
        points = start + ways * (editor.space.centres[target] - start)
        codes = points.repeat_interleave(len(faces), dim=0)
        logits, _ = reader.read(edit_all(editor, faces.repeat(LINE_POINTS, 1, 1), codes))
        probabilities = logits.softmax(1)[:, target].reshape(LINE_POINTS, -1).mean(1)
        lines[emotion] = [round(value, 4) for value in probabilities.tolist()]
    return lines


def as_table(result: dict[str, Any]) -> str:
    """The result as a Markdown table and three lines."""
    import torch

    from EmotionGAN.measure.metrics import largest_step

    lines = [
        "| emotion | target read in edits | read in real faces | confidence, edits / real | Frechet, edits / halves |"
        " largest step on the way |",
        "|---|---|---|---|---|---|",
    ]
    for emotion, row in result["emotions"].items():
        way = result["smoothness"].get(emotion)
        step = f"{largest_step(torch.tensor(way)):.2f}" if way else "-"
        lines.append(
            f"| {emotion} | {100 * row['read_in_edits']:.1f} % | {100 * row['read_in_real']:.1f} % "
            f"| {row['confidence_in_edits']:.2f} / {row['confidence_in_real']:.2f} "
            f"| {row['frechet']:.1f} / {row['frechet_real_halves']:.1f} | {step} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"target read over all emotions {100 * result['target_read']:.1f} %; the classifier is right on "
            f"{100 * result['accuracy_on_real']:.1f} % of the {result['faces']} real faces",
            f"change {result['change']:.3f} (L1 of the 0..1 range), SSIM {result['similarity']:.3f}, "
            f"left after editing back {result['cycle_change']:.3f}",
        ]
    )


def load_classifier(files: "CheckpointFiles", device: "torch.device", dtype: "torch.dtype") -> Classifier:
    """The best net of an experiment of train_model.py as a Reader; its features are what its last layer reads."""
    import torch

    from core_code.core_utils.checkpoints import BEST
    from core_code.core_utils.devices import autocast
    from core_code.core_utils.transforms import evaluation_view
    from core_code.training.inference import load_trained

    net, size = load_trained(files, BEST)
    net = net.eval().to(device)
    features: list[Tensor] = []
    net.head.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0].float().cpu()))

    @torch.no_grad()
    def read(faces: "Tensor") -> "tuple[Tensor, Tensor]":
        features.clear()
        logits = []
        for batch in faces.split(256):
            with autocast(device, dtype):
                logits.append(net(evaluation_view(batch.to(device), size)).float().cpu())
        return torch.cat(logits), torch.cat(features)

    return Classifier(read, files.path(BEST).name)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    from core_code.models.architectures import ARCHITECTURES

    parser = flags.make_parser(
        "Judge a generator on faces it has not learned from: does an independent classifier read the meant emotion, "
        "how much of the face stays, how real and how smooth the edits are. Writes JSON and a sheet.",
        "python -m EmotionGAN.measure --net_name resnet18 --exp_name baseline",
    )
    parser.add_argument("--net_name", choices=tuple(ARCHITECTURES), required=True, help="the classifier's net")
    parser.add_argument(
        "--exp_name", type=flags.run_name, required=True,
        help="the classifier's experiment, of train_model.py --emotion_transform_prob 0: it must know real faces only",
    )  # fmt: skip
    parser.add_argument("--phase", choices=("train", "val", "test"), default="val", help="(default: val)")
    flags.add_output_flag(parser)
    flags.add_data_flags(parser)
    flags.add_generator_flag(parser)
    flags.add_device_flags(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse_arguments(arguments)

    from core_code.core_utils.checkpoints import CheckpointFiles
    from core_code.core_utils.devices import pick_device, pick_dtype
    from core_code.core_utils.files import write_json
    from core_code.core_utils.plots.face_sheets import face_sheet
    from core_code.datasets.fer2013 import FER2013
    from EmotionGAN.editor import Editor
    from EmotionGAN.learn.__main__ import sample_sheet
    from EmotionGAN.measure.exaggeration import (
        draw_confidences,
        draw_side_by_side,
        exaggeration_table,
        measure_exaggeration,
    )

    device = pick_device(args.device)
    dtype = pick_dtype(args.precision, device)
    editor = Editor.load(args.generator, device, dtype)
    files = CheckpointFiles(args.output_root / "checkpoints", args.net_name, args.exp_name)
    reader = load_classifier(files, device, dtype)
    data = FER2013(args.data_root, args.phase, args.dataset, args.max_faces)
    result = measure(editor, reader, data.faces, data.labels)
    plots = args.output_root / "plots_output"
    pictures = [plots / f"generator_sheet_{editor.name}_{args.dataset}.png"]
    if editor.reader:
        result["exaggeration"] = measure_exaggeration(editor, reader, data.faces, data.labels)
        path = plots / f"generator_confidence_{editor.name}.png"
        pictures.append(draw_confidences(path, result["exaggeration"], editor.name))
        path = plots / f"generator_centres_{editor.name}_{args.dataset}.png"
        pictures.append(draw_side_by_side(path, editor, data.faces, data.labels))
    write_json(plots / f"generator_quality_{editor.name}.json", result)
    rows = sample_sheet(editor.generator, data.faces[:SHEET_FACES], device)
    titles = [editor.space.emotions[label] for label in data.labels[:SHEET_FACES]]
    face_sheet(
        pictures[0], [[picture.numpy() for picture in row] for row in rows], titles, ("face", *editor.space.emotions)
    )
    print(as_table(result))
    if editor.reader:
        print("\n" + exaggeration_table(result["exaggeration"]))
    print(f"\nfigures: {plots / f'generator_quality_{editor.name}.json'}\npictures: {', '.join(map(str, pictures))}")


if __name__ == "__main__":
    run_command(main)
