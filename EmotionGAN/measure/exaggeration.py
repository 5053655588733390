"""How exaggerated augmentations are: an independent classifier's confidence in the label on real faces, on edits near
the emotion's centre, and on edits near the code of the face itself.

A published finding is that such augmentations exaggerate. Real faces are often ambiguous; augmentations on which a
classifier is much more confident than on real faces are not.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from core_code.core_utils.plots.face_sheets import face_sheet
from core_code.core_utils.plots.saving import save_figure
from core_code.core_utils.tables import as_markdown
from EmotionGAN.editor import Editor
from EmotionGAN.measure.face_sets import HALF_WIDTH
from EmotionGAN.measure.judges import Judge
from EmotionGAN.measure.quality import mean_change

KINDS = ("real", "centre=emotion", "centre=face")
BINS = 20
SHEET_FACES, SHEET_SAMPLES = 12, 6


def sample_codes(editor: Editor, faces: Tensor, labels: Tensor, count: int, seed: int) -> dict[str, Tensor]:
    """`count` codes of each face by either choice of the centre, float [N,count,2], from the same uniform samples:
    around the emotion's, and where the generator has a face encoder around the face's own.
    faces: uint8 [N,H,W]; labels: int64 [N]."""
    uniforms = torch.rand(len(faces) * count, 2, generator=torch.Generator().manual_seed(seed))
    emotions, shape = labels.repeat_interleave(count), (len(faces), count, 2)
    codes = {"centre=emotion": editor.space.codes(emotions, uniforms, HALF_WIDTH).view(shape)}
    if editor.face_encoder:
        face_codes = editor.encode_faces(faces).repeat_interleave(count, dim=0)
        codes["centre=face"] = editor.space.near(face_codes, uniforms, HALF_WIDTH).view(shape)
    return codes


def measure_exaggeration(editor: Editor, judge: Judge, faces: Tensor, labels: Tensor, seed: int) -> dict[str, Any]:
    """The judge's confidence in the label of each face and of one augmentation of either kind, in 0..1.

    For each kind: mean, accuracy, quartiles, and the histogram over BINS equal bins, as shares. Beside them how far the
    edits are from the faces (L1 of the 0..1 range), and the share of faces whose code lies nearest, by the generator's
    distances, to their label.
    """
    codes = sample_codes(editor, faces, labels, 1, seed)
    images = {"real": faces} | {kind: editor.edit_all(faces, points[:, 0]) for kind, points in codes.items()}
    result: dict[str, Any] = {}
    for kind in KINDS:
        logits, _ = judge.predict(images[kind])
        confidence = logits.softmax(1).gather(1, labels[:, None])[:, 0]
        result[kind] = {
            "mean": confidence.mean().item(),
            "accuracy": (logits.argmax(1) == labels).float().mean().item(),
            "quartiles": confidence.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist(),
            "histogram": (torch.histc(confidence, BINS, 0, 1) / len(faces)).tolist(),
            "change": mean_change(faces, images[kind]),
        }
    with torch.no_grad():
        distances = editor.generator.distances(editor.encode_faces(faces).to(editor.device)).cpu()
    result["code_nearest_label"] = (distances.argmin(1) == labels).float().mean().item()
    return result


def exaggeration_table(result: dict[str, Any]) -> str:
    """A Markdown table with a row for each kind of face, and a line."""
    rows = [
        {
            "faces": kind,
            "confidence in the label": f"{result[kind]['mean']:.3f}",
            "lower, middle, upper quartile": ", ".join(f"{value:.2f}" for value in result[kind]["quartiles"]),
            "accuracy": f"{100 * result[kind]['accuracy']:.1f} %",
            "change (L1)": f"{result[kind]['change']:.3f}",
        }
        for kind in KINDS
    ]
    share = 100 * result["code_nearest_label"]
    return (
        f"{as_markdown(pd.DataFrame(rows))}\n\nthe code of a face lies nearest to its label's emotion for {share:.1f} %"
    )


def plot_confidences(path: Path, result: dict[str, Any], name: str) -> Path:
    """The three distributions of confidence as one picture."""
    figure = Figure(figsize=(7, 4))
    axes = figure.add_subplot()
    axes.set(
        xlabel="the independent classifier's confidence in the label", ylabel="share of the faces in %", xlim=(0, 1)
    )
    axes.set_title(f"{name}: how exaggerated are its augmentations?", fontsize=11)
    edges = torch.linspace(0, 1, BINS + 1).tolist()
    for kind, colour in zip(KINDS, ("#000000", "#D55E00", "#0072B2"), strict=True):
        label = f"{kind}: mean {result[kind]['mean']:.2f}"
        axes.stairs([100 * share for share in result[kind]["histogram"]], edges, color=colour, linewidth=2, label=label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return save_figure(figure, path)


def write_comparison_sheet(path: Path, editor: Editor, faces: Tensor, labels: Tensor, seed: int) -> Path:
    """A row for each of SHEET_FACES faces: the face, and SHEET_SAMPLES augmentations by each choice of the centre."""
    faces, labels = faces[:SHEET_FACES], labels[:SHEET_FACES]
    columns, titles = [faces], ["face"]
    for kind, codes in sample_codes(editor, faces, labels, SHEET_SAMPLES, seed).items():
        columns += [editor.edit(faces, codes[:, sample]).cpu() for sample in range(SHEET_SAMPLES)]
        titles += [f"{kind.removeprefix('centre=')} {sample}" for sample in range(SHEET_SAMPLES)]
    rows = [[column[face].numpy() for column in columns] for face in range(len(faces))]
    title = "augmentations near the emotion's centre, and near the code of the face"
    return face_sheet(path, rows, [editor.space.emotions[label] for label in labels], titles, title)
