"""How exaggerated augmentations are: an independent classifier's confidence in the label, on real faces, on edits near
the emotion's centre, and on edits near the face's own point.

A published finding is that such augmentations exaggerate. Real faces are often ambiguous; augmentations that a
classifier is much surer of than of real faces are.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from core_code.core_utils.files import atomic_write

if TYPE_CHECKING:
    from EmotionGAN.editor import Editor
    from EmotionGAN.measure.__main__ import Classifier

KINDS = ("real", "centre=emotion", "centre=face")
HALF_WIDTH = 0.2
BINS = 20
SHEET_FACES, SHEET_DRAWS = 12, 4


def draw_codes(editor: "Editor", faces: Tensor, labels: Tensor, draws: int, seed: int = 1) -> dict[str, Tensor]:
    """`draws` codes of each face by either choice of the centre, float [N,draws,2]; the same uniforms for both.

    faces: uint8 [N,H,W]; labels: int64 [N].
    """
    uniforms = torch.rand(len(faces) * draws, 2, generator=torch.Generator().manual_seed(seed))
    emotions, points = labels.repeat_interleave(draws), editor.encode_faces(faces).repeat_interleave(draws, dim=0)
    shape = (len(faces), draws, 2)
    return {
        "centre=emotion": editor.space.codes(emotions, uniforms, HALF_WIDTH).view(shape),
        "centre=face": editor.space.near(points, uniforms, HALF_WIDTH).view(shape),
    }


def measure_exaggeration(editor: "Editor", reader: "Classifier", faces: Tensor, labels: Tensor) -> dict[str, Any]:
    """The classifier's confidence in the label of each face and of one augmentation of either kind, in 0..1.

    For each kind: mean, share read right, quartiles, and the histogram over BINS equal bins, as shares. Beside them
    how far the edits are from the faces (L1 of the 0..1 range), and how often the face's own point lies nearest, by
    the generator's distances, to its label.
    """
    from EmotionGAN.measure.__main__ import edit_all
    from EmotionGAN.measure.metrics import mean_change

    codes = draw_codes(editor, faces, labels, draws=1)
    seen = {"real": faces} | {kind: edit_all(editor, faces, points[:, 0]) for kind, points in codes.items()}
    result: dict[str, Any] = {}
    for kind in KINDS:
        logits, _ = reader.read(seen[kind])
        confidence = logits.softmax(1).gather(1, labels[:, None])[:, 0]
        result[kind] = {
            "mean": confidence.mean().item(),
            "read_right": (logits.argmax(1) == labels).float().mean().item(),
            "quartiles": confidence.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist(),
            "histogram": (torch.histc(confidence, BINS, 0, 1) / len(faces)).tolist(),
            "change": mean_change(faces, seen[kind]),
        }
    order = [editor.generator.config.emotions.index(emotion) for emotion in editor.space.emotions]
    with torch.no_grad():
        distances = editor.generator.distances(editor.encode_faces(faces).to(editor.device))[:, order].cpu()
    result["own_point_nearest_label"] = (distances.argmin(1) == labels).float().mean().item()
    return result


def exaggeration_table(result: dict[str, Any]) -> str:
    """A Markdown table, a line a kind of face."""
    lines = ["| faces | confidence in the label | lower, middle, upper quartile | read right | change (L1) |"]
    lines.append("|---|---|---|---|---|")
    for kind in KINDS:
        row = result[kind]
        quartiles = ", ".join(f"{value:.2f}" for value in row["quartiles"])
        lines.append(
            f"| {kind} | {row['mean']:.3f} | {quartiles} | {100 * row['read_right']:.1f} % | {row['change']:.3f} |"
        )
    share = 100 * result["own_point_nearest_label"]
    return "\n".join([*lines, "", f"the point read off a face lies nearest to its label's emotion for {share:.1f} %"])


def draw_confidences(path: Path, result: dict[str, Any], name: str) -> Path:
    """The three distributions of confidence as one picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4))
    axes = figure.add_subplot()
    edges = torch.linspace(0, 1, BINS + 1).tolist()
    for kind, colour in zip(KINDS, ("#000000", "#D55E00", "#0072B2"), strict=True):
        label = f"{kind}: mean {result[kind]['mean']:.2f}"
        axes.stairs([100 * share for share in result[kind]["histogram"]], edges, color=colour, linewidth=2, label=label)
    axes.set_xlabel("the independent classifier's confidence in the label")
    axes.set_ylabel("share of the faces in %")
    axes.set_title(f"{name}: how exaggerated are its augmentations?", fontsize=11)
    axes.set_xlim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    atomic_write(path, lambda file: figure.savefig(file, format="png", dpi=150, bbox_inches="tight"))
    return path


def draw_side_by_side(path: Path, editor: "Editor", faces: Tensor, labels: Tensor) -> Path:
    """The same SHEET_FACES faces, a row each: the face, augmentations by its emotion's centre, and by its own point."""
    from core_code.core_utils.plots.face_sheets import face_sheet

    faces, labels = faces[:SHEET_FACES], labels[:SHEET_FACES]
    codes = draw_codes(editor, faces, labels, SHEET_DRAWS)
    columns = [faces]
    for points in codes.values():
        columns += [editor.edit(faces, points[:, draw]).cpu() for draw in range(SHEET_DRAWS)]
    rows = [[column[face].numpy() for column in columns] for face in range(len(faces))]
    titles = ["face", *(f"emotion {k}" for k in range(SHEET_DRAWS)), *(f"own {k}" for k in range(SHEET_DRAWS))]
    title = "augmentations around the emotion's centre, and around the face's own point"
    return face_sheet(path, rows, [editor.space.emotions[label] for label in labels], titles, title)
