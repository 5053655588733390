"""Learn the generator of the sample faces, on FER2013's Training faces and no others.

python -m core_code.datasets.fit_sample_model --data_root data/fer2013 --dest runs/sample_faces --minutes 8

The faces: those that dlib finds, alone, centred and of the usual size, and of these, in each emotion, three quarters:
those whose label is the most likely to two small classifiers, each asked about the half that it has not learned from.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from core_code.core_utils.devices import autocast, pick_hardware
from core_code.core_utils.emotions import EMOTIONS
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.files import atomic_write, make_folder, save_weights
from core_code.core_utils.flags import add_accelerate_flag, add_device_flags, count, make_parser, positive
from core_code.core_utils.photos.face_finder import is_frontal, load_dlib
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.sample_learning import NOISE, UNIFORMS, SampleTrainer, as_floats, augment
from core_code.datasets.sample_networks import FaceGenerator

CLASSIFIERS_SHARE = 0.12  # of the time; the rest is the generator's
DOUBTFUL = 0.25  # share of each emotion's faces that is left out, as those least like their label
LOOK_EVERY = 50  # steps between two looks at clock and losses; each waits for the device
SAVE_SECONDS = 120
SHEET_COLUMNS = 10
SHEET_TRUNCATION = 0.7


@dataclass(frozen=True)
class FitSettings:
    """Where the run is kept, how long it takes and how large it is; `width` multiplies all channels."""

    dest: Path
    minutes: float
    batch_size: int
    width: float
    device: torch.device
    dtype: torch.dtype
    seed: int
    accelerate: bool


class TrainingFaces:
    """Faces uint8 [N,1,48,48] and labels int64 [N] on the device; emotions are drawn by the square roots of their
    numbers."""

    def __init__(self, faces: Tensor, labels: Tensor, device: torch.device) -> None:
        self.faces, self.labels = faces[:, None].to(device), labels.to(device)
        counts = torch.bincount(labels, minlength=len(EMOTIONS))
        if not counts.all():
            raise InputError(
                f"no frontal {EMOTIONS[int(counts.argmin())]} face in train, expected some of each emotion"
            )
        self.up_to = counts.to(torch.float64).rsqrt()[labels].cumsum(0).float().to(device)

    def draw(self, size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        places = torch.rand(size, device=self.faces.device, generator=rng) * self.up_to[-1]
        rows = torch.searchsorted(self.up_to, places).clamp(max=len(self.labels) - 1)
        return self.faces[rows], self.labels[rows]


def main() -> None:
    """Parse arguments, choose the faces, learn."""
    started = time.monotonic()
    parser = make_parser(__doc__.splitlines()[0], "python -m core_code.datasets.fit_sample_model --minutes 8")
    parser.add_argument("--data_root", type=Path, default=Path("data/fer2013"), help="folder of FER2013's CSV")
    parser.add_argument("--dest", type=Path, default=Path("runs/sample_faces"),
                        help="folder of the run, new or to go on with (default: %(default)s)")  # fmt: skip
    parser.add_argument("--rows", type=Path, default=None, metavar="NPY",
                        help="rows of the frontal Training faces, which dlib looks for otherwise and which are then "
                        "written to this file; default: frontal_rows.npy in --dest")  # fmt: skip
    parser.add_argument("--minutes", type=positive, default=8.0, help="for all of it (default: %(default)s)")
    parser.add_argument("--batch_size", type=count, default=64, help="a multiple of 4 (default: %(default)s)")
    parser.add_argument("--width", type=positive, default=1.0, help="multiplies all channels (default: %(default)s)")
    add_device_flags(parser)
    add_accelerate_flag(parser)
    args = parser.parse_args()
    if args.batch_size % 4:
        parser.error(f"--batch_size {args.batch_size}: expected a multiple of 4")
    settings = FitSettings(args.dest, args.minutes, args.batch_size, args.width,
                           *pick_hardware(args.device, args.precision), args.seed, args.accelerate)  # fmt: skip
    train = FER2013(args.data_root, "train")
    rows = frontal_rows(args.rows or args.dest / "frontal_rows.npy", train.faces.numpy())
    print(f"{len(rows)} of {len(train)} training faces are frontal", flush=True)
    learn(settings, train.faces, train.labels, torch.from_numpy(rows), started)


def frontal_rows(path: Path, faces: np.ndarray) -> np.ndarray:
    """Rows int64 of the frontal faces, from the file `path`, which is written where there is none."""
    if not path.is_file():
        found = np.flatnonzero(find_frontal(faces)).astype(np.uint16)
        atomic_write(path, lambda file: np.save(file, found, allow_pickle=False))
    try:
        rows = np.load(path, allow_pickle=False).astype(np.int64)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as rows of faces; remove it, and dlib finds them anew") from error
    if rows.ndim != 1 or not len(rows) or rows.max() >= len(faces) or rows.min() < 0:
        raise InputError(f"{path}: no rows of {len(faces)} faces; remove it, and dlib finds them anew")
    return rows


def find_frontal(faces: np.ndarray) -> np.ndarray:
    """Which faces dlib finds alone, centred and of the usual size: uint8 [N, 48, 48] -> bool [N]."""
    load_dlib()
    return np.array([is_frontal(face) for face in tqdm(faces, desc="finding frontal faces", unit="faces")], dtype=bool)


def learn(settings: FitSettings, faces: Tensor, labels: Tensor, frontal: Tensor, started: float) -> FaceGenerator:
    """Learn from the rows `frontal` of faces uint8 [N,48,48] with labels int64 [N] until the minutes since `started`
    (time.monotonic) are over; the classifiers learn from the others as well. --dest then holds sample_faces.pth,
    sheet.png and learning.pth, each also written every two minutes."""
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    trainer = SampleTrainer(settings.width, settings.seed, settings.device, settings.dtype, settings.accelerate)
    parameters = sum(weights.numel() for weights in trainer.generator.parameters())
    print(f"generator: {parameters} parameters, {2 * parameters / 1e6:.2f} MB as float16", flush=True)
    state = make_folder(settings.dest) / "learning.pth"
    if state.exists():
        trainer.load(state)
        print(f"going on at step {trainer.step}, {trainer.seconds:.0f} s", flush=True)
    started -= trainer.seconds
    rng = torch.Generator(settings.device).manual_seed(settings.seed + trainer.step)
    halves = [TrainingFaces(faces[rows], labels[rows], settings.device) for rows in (frontal[::2], frontal[1::2])]
    loaded = time.monotonic()
    if not trainer.classifiers_learned:
        for number, classifier in enumerate(trainer.classifiers, start=1):
            end = loaded + number / 2 * CLASSIFIERS_SHARE * 60 * settings.minutes
            seen = torch.ones(len(faces), dtype=torch.bool)
            seen[frontal[number % 2 :: 2]] = False
            learn_classifier(classifier, TrainingFaces(faces[seen], labels[seen], settings.device), end, settings, rng)
        trainer.classifiers_learned = True
    trainer.classifiers.eval().requires_grad_(False)
    kept = clear_faces(trainer.classifiers, halves, settings)
    chosen = TrainingFaces(
        torch.cat([half.faces[rows, 0] for half, rows in zip(halves, kept, strict=True)]),
        torch.cat([half.labels[rows] for half, rows in zip(halves, kept, strict=True)]).cpu(),
        settings.device,
    )
    trainer.seconds = time.monotonic() - started
    trainer.save(state)
    learn_generator(trainer, chosen, settings, started, rng)
    return trainer.ema


def learn_classifier(
    classifier: nn.Module, faces: TrainingFaces, end: float, settings: FitSettings, rng: torch.Generator
) -> None:
    """Learn the emotions of augmented, slightly noisy faces until `end` (time.monotonic)."""
    adam = torch.optim.AdamW(classifier.parameters(), lr=2e-3, weight_decay=0.05)
    start, step = time.monotonic(), 0
    while (now := time.monotonic()) < end:
        for group in adam.param_groups:
            group["lr"] = (
                2e-3 * min(1.0, (step + 1) / 100) * (1 + math.cos(math.pi * (now - start) / (end - start))) / 2
            )
        for _ in range(LOOK_EVERY // 5):
            some, labels = faces.draw(settings.batch_size, rng)
            uniforms = torch.rand(len(some), UNIFORMS, device=settings.device, generator=rng)
            seen = augment(as_floats(some), uniforms, mirror=True)
            seen = seen + NOISE * torch.randn(seen.shape, device=settings.device, generator=rng)
            with autocast(settings.device, settings.dtype):
                logits = classifier(seen)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=0.05)
            adam.zero_grad()
            loss.backward()
            adam.step()
            step += 1
        last = loss.item()
    print(f"classifier: {step} steps, loss {last:.2f}" if step else "classifier: no time to learn", flush=True)


@torch.no_grad()
def clear_faces(classifiers: nn.ModuleList, halves: list[TrainingFaces], settings: FitSettings) -> list[Tensor]:
    """Rows of each half whose label the classifier of the other half predicts best, the doubtful ones left out."""
    own, right = [], 0.0
    for half, classifier in zip(halves, reversed(classifiers), strict=True):
        with autocast(settings.device, settings.dtype):
            logits = torch.cat([classifier(as_floats(some)).float() for some in half.faces.split(512)])
        own.append(logits.log_softmax(1).gather(1, half.labels[:, None])[:, 0])
        right += (logits.argmax(1) == half.labels).float().mean().item() / len(halves)
    print(f"the classifiers predict {100 * right:.1f} % of the labels that they have not seen", flush=True)
    kept = []
    for half, values in zip(halves, own, strict=True):
        bounds = torch.stack([values[half.labels == e].quantile(DOUBTFUL) for e in range(len(EMOTIONS))])
        kept.append((values >= bounds[half.labels]).nonzero()[:, 0])
    return kept


def learn_generator(
    trainer: SampleTrainer, faces: TrainingFaces, settings: FitSettings, started: float, rng: torch.Generator
) -> None:
    """Train until the minutes since `started` are over, saving every two minutes and at the end."""
    budget = 60 * settings.minutes
    saved, finite = trainer.seconds, True
    bar = tqdm(initial=int(trainer.seconds), total=int(budget), unit="s", mininterval=10)
    while trainer.seconds < budget:
        trainer.set_progress(trainer.seconds / budget)
        losses = []
        for _ in range(LOOK_EVERY):
            real, labels = faces.draw(settings.batch_size, rng)
            _, fake_labels = faces.draw(settings.batch_size, rng)
            losses.append(torch.stack(trainer.train(real, labels, fake_labels, rng)))
            if settings.device.type == "cpu" and time.monotonic() - started > budget:
                break
        discriminator_loss, generator_loss = torch.stack(losses).mean(dim=0).tolist()
        trainer.seconds = time.monotonic() - started
        finite = math.isfinite(discriminator_loss + generator_loss)
        if not finite:
            seconds = trainer.seconds
            trainer.load(settings.dest / "learning.pth")
            trainer.seconds = seconds
            rng.manual_seed(settings.seed + trainer.step + round(seconds))
            print("losses are not finite: going on from what was saved last", flush=True)
        bar.update(int(trainer.seconds) - bar.n)
        bar.set_postfix_str(f"step {trainer.step}, D {discriminator_loss:.3f}, G {generator_loss:.3f}")
        if finite and (trainer.seconds - saved > SAVE_SECONDS or trainer.seconds >= budget):
            saved = trainer.seconds
            trainer.save(settings.dest / "learning.pth")
            write_result(trainer, faces, settings.dest)
    bar.close()
    print(f"{settings.dest}: {trainer.step} steps in {trainer.seconds:.0f} s", flush=True)


def write_result(trainer: SampleTrainer, faces: TrainingFaces, dest: Path) -> None:
    """The generator's EMA as float16 and a sheet: an emotion a row, 10 faces as they come, 10 truncated, 10 real."""
    trainer.ema.measure_mean_latents()
    weights = {name: value.to("cpu", torch.float16) for name, value in trainer.ema.state_dict().items()}
    save_weights(dest / "sample_faces.pth", {name: value.contiguous() for name, value in weights.items()})
    rng = torch.Generator().manual_seed(1)
    noise = torch.randn(len(EMOTIONS) * SHEET_COLUMNS, trainer.ema.latent, generator=rng).to(trainer.device)
    labels = torch.arange(len(EMOTIONS), device=trainer.device).repeat_interleave(SHEET_COLUMNS)
    with torch.no_grad():
        parts = [as_bytes(trainer.ema(noise, labels, truncation)) for truncation in (1.0, SHEET_TRUNCATION)]
    real = [faces.faces[faces.labels == emotion][:SHEET_COLUMNS] for emotion in range(len(EMOTIONS))]
    real = [F.pad(some, (0, 0) * 3 + (0, SHEET_COLUMNS - len(some))) for some in real]
    sheet = torch.cat([part.unflatten(0, (-1, SHEET_COLUMNS)) for part in (*parts, torch.cat(real))], dim=1)[:, :, 0]
    picture = F.pad(sheet, (0, 2, 0, 2), value=255).permute(0, 2, 1, 3).flatten(2).flatten(0, 1).cpu().numpy()
    atomic_write(dest / "sheet.png", lambda file: Image.fromarray(picture).save(file, "png"))


def as_bytes(faces: Tensor) -> Tensor:
    """Faces of about -1..1 -> uint8 of the same shape."""
    return ((faces.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


if __name__ == "__main__":
    run_command(main)
