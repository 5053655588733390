"""All figures of one generator, part by part."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from EmotionGAN.editor import Editor
from EmotionGAN.measure import PARTS
from EmotionGAN.measure.diversity import diversity_figures
from EmotionGAN.measure.dlib_faces import MODELS_PACKAGE, Detection, Run, detect_face, missing_packages, processes
from EmotionGAN.measure.exaggeration import measure_exaggeration, plot_confidences, write_comparison_sheet
from EmotionGAN.measure.face_sets import OFF_CENTRE, Edits, FaceSet, augment, edits_to_others
from EmotionGAN.measure.identity import identify, identity_figures
from EmotionGAN.measure.judges import Judge, judge, target_figures, target_probability
from EmotionGAN.measure.quality import change_of_edits, frechet_figures, measure_lines, smoothness_figure
from EmotionGAN.measure.sheets import worst_edits, write_worst_sheet
from EmotionGAN.measure.small_net import cas_figures, detectability_figures
from EmotionGAN.measure.summary import Metric
from EmotionGAN.sheets import write_sample_sheet

AUGMENTATIONS_EACH = 6  # of each face
SHEET_FACES = 10


@dataclass(frozen=True)
class MeasureSettings:
    """plots: the folder of the pictures; data: part of their names; parts: which of PARTS; identity_faces: how many
    faces dlib describes, each at every other emotion."""

    plots: Path
    data: str
    parts: tuple[str, ...] = PARTS
    identity_faces: int = 500
    seed: int = 1


@dataclass
class Measurement:
    """What has been measured of the faces: figures by name, seconds by part, notes on what is left out, pictures."""

    faces: FaceSet
    figures: dict[str, Metric] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    change: dict[str, float] = field(default_factory=dict)
    lines: dict[str, list[float]] = field(default_factory=dict)
    exaggeration: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "faces": {group: int(mask.sum()) for group, mask in self.faces.groups().items()},
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
            "change": self.change,
            "lines": self.lines,
            "exaggeration": self.exaggeration,
            "notes": self.notes,
            "seconds": {part: round(seconds, 1) for part, seconds in self.seconds.items()},
        }

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Count what is done within it as the part's seconds."""
        start = time.perf_counter()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start
        tqdm.write(f"{part}: {self.seconds[part]:.1f} s")


def measure(
    editor: Editor, judges: list[Judge], faces: FaceSet, train: FaceSet | None, settings: MeasureSettings
) -> Measurement:
    """Measure a generator on `faces`; small nets learn from `train` (None: only parts that need none are measured)."""
    done = Measurement(faces)
    if editor.generator.config.framing == "dlib":
        done.notes.append("Whole faces are edited; create_augmentations.py edits what dlib finds of them, since this "
                          "generator was trained on such cut-outs.")  # fmt: skip
    missing = missing_packages()
    with processes() as run:
        detections: list[Detection] | None = None
        if "dlib-bin" in missing:
            done.notes.append("Frontal and other faces are not told apart: pip install dlib-bin")
        else:
            with done.timed("frontal"):
                detections = run(detect_face, list(faces.faces.numpy()), "finding faces")
            faces = replace(faces, frontal=torch.tensor([one.frontal for one in detections], dtype=torch.bool))
            done.faces = faces
        if {"targets", "identity"} & {*settings.parts}:
            with done.timed("edits"):
                edits = edits_to_others(editor, faces)
            measure_edits(done, editor, judges, edits, detections, settings, run)
    if "diversity" in settings.parts:
        with done.timed("diversity"):
            augmentations = augment(editor, faces.faces, faces.labels, AUGMENTATIONS_EACH, settings.seed)
            done.figures |= diversity_figures(faces, augmentations, judges, settings.seed)
            if editor.face_encoder:
                done.exaggeration = measure_exaggeration(editor, judges[0], faces.faces, faces.labels, settings.seed)
    for part, figures in (("cas", cas_figures), ("detectability", detectability_figures)):
        if part in settings.parts and train is not None:
            with done.timed(part):
                done.figures |= figures(editor, train, faces, settings.seed)
    draw(done, editor, settings)
    return done


def draw(done: Measurement, editor: Editor, settings: MeasureSettings) -> None:
    """The first faces at every emotion, their augmentations, and how sure a judge is of augmentations."""
    faces, labels, name = done.faces.faces, done.faces.labels, editor.name
    titles = [editor.space.emotions[label] for label in labels[:SHEET_FACES]]
    path = settings.plots / f"generator_sheet_{name}_{settings.data}.png"
    done.pictures.append(write_sample_sheet(path, editor.generator, faces[:SHEET_FACES], titles))
    path = settings.plots / f"generator_centres_{name}_{settings.data}.png"
    done.pictures.append(write_comparison_sheet(path, editor, faces, labels, settings.seed))
    if done.exaggeration:
        path = settings.plots / f"generator_confidence_{name}_{settings.data}.png"
        done.pictures.append(plot_confidences(path, done.exaggeration, name))


def measure_edits(
    done: Measurement, editor: Editor, judges: list[Judge], edits: Edits, detections: list[Detection] | None,
    settings: MeasureSettings, run: Run,
) -> None:  # fmt: skip
    """What the edits to other emotions show: targets and quality, identity, and the sheet of the worst."""
    faces, identities = done.faces, None
    probability = torch.rand(0)
    if "targets" in settings.parts:
        with done.timed("targets"):
            real, judged = judge(judges, faces.faces), judge(judges, edits.images)
            probability = target_probability(edits, judged)
            done.figures |= target_figures(faces, real, edits, judged, "at the centre")
            beside = edits_to_others(editor, faces, OFF_CENTRE, settings.seed)
            off = judge(judges, beside.images)
            done.figures |= target_figures(faces, real, beside, off, "off the centre")
        with done.timed("quality"):
            done.figures |= frechet_figures(faces, real[0], edits, judged[0])
            done.change = change_of_edits(editor, faces, edits)
            done.lines = measure_lines(editor, judges[0], faces.faces)
            done.figures |= smoothness_figure(done.lines)
    if "identity" in settings.parts:
        if missing := missing_packages():
            done.notes.append(f"Found faces and identity are not measured: pip install {' '.join(missing)}")
        elif detections is not None and not any(one.box for one in detections):
            done.notes.append("Found faces and identity are not measured: dlib finds no face in the originals")
        elif detections is not None:
            with done.timed("identity"):
                identities = identify(faces, detections, edits, settings.identity_faces, settings.seed, run)
                done.figures |= identity_figures(faces, detections, edits, identities)
            done.notes.append(
                f"Found faces and identity are of {len(identities.gallery)} random faces of those that dlib finds "
                "(seeded), each at every other emotion, compared with these originals by dlib's descriptor "
                f"({MODELS_PACKAGE})."
            )
    if len(probability):
        path = settings.plots / f"generator_worst_{editor.name}_{settings.data}.png"
        worst = worst_edits(edits, probability, identities, settings.seed)
        done.pictures.append(write_worst_sheet(path, faces, edits, worst))
