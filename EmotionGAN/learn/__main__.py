"""Learn a generator of emotions from labelled faces: `python -m EmotionGAN.learn`.

One counter of steps runs through the game's two stages. Every random draw depends on (seed, step) alone, so a run
that is stopped and started again ends as an unbroken one.

`torchrun --standalone --nproc_per_node N -m EmotionGAN.learn ...` shares every batch out among N processes, which end
where one ends (docs/scaling.md).
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from core_code.core_utils.distributed.job import (
    check_same,
    distributed_session,
    is_main_process,
    local_main_first,
    world_size,
)
from core_code.core_utils.errors import InputError, run_command
from core_code.core_utils.flags import add_data_flags, add_device_flags, boolean, count, make_parser

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from EmotionGAN.learn.config import LearnConfig
    from EmotionGAN.learn.trainer import BalancedFaces, Trainer
    from EmotionGAN.networks.generator import Generator

CHECKPOINT, LOG = "learning.pth", "learning.jsonl"


def run_steps(learning: "Trainer", faces: "BalancedFaces", dtype: "torch.dtype") -> "Iterator[dict[str, Tensor]]":
    """Take the steps that are left, yielding each step's terms."""
    import torch

    from core_code.core_utils.devices import autocast
    from EmotionGAN.learn import trainer as game

    recipe = learning.recipe
    while learning.step < recipe.total_steps:
        draws = torch.Generator().manual_seed(learning.seed * 1_000_003 + learning.step)
        with autocast(learning.device, dtype):
            if learning.step < recipe.critic_steps:
                terms = game.pretrain_classes(learning, faces, draws)
            else:
                terms = game.play(learning, faces, draws)
        learning.step += 1
        yield terms


def sample_sheet(generator: "Generator", faces: "Tensor", device: "torch.device") -> "list[list[Tensor]]":
    """Rows of pictures, uint8 [S,S]: each face, then the face at every emotion's centre in the order of EMOTIONS.

    faces: uint8 [N,H,W].
    """
    import torch

    from EmotionGAN.conditional_space import ConditionalSpace
    from EmotionGAN.editor import from_range, to_range

    size, channels = generator.config.image_size, generator.config.channels
    images = to_range(faces.to(device), size, channels)
    columns = [images]
    with torch.no_grad():
        for centre in ConditionalSpace.of(generator).centres:
            columns.append(generator(images, centre.to(device).expand(len(images), 2))[0])
    pictures = [from_range(column, (size, size)).cpu() for column in columns]
    return [[column[row] for column in pictures] for row in range(len(faces))]


def write_sheet(path: Path, learning: "Trainer", faces: "Tensor") -> None:
    """The sample sheet of the averaged generator as a PNG."""
    from core_code.core_utils.emotions import EMOTIONS
    from core_code.core_utils.plots.face_sheets import face_sheet

    rows = sample_sheet(learning.average, faces, learning.device)
    pictures = [[picture.numpy() for picture in row] for row in rows]
    face_sheet(path, pictures, row_titles=[""] * len(rows), column_titles=("face", *EMOTIONS))


def learn(
    learning: "Trainer", faces: "BalancedFaces", shown: "Tensor", dest: Path, every: int, dtype: "torch.dtype"
) -> None:  # fmt: skip
    """Play until the recipe's last step; every `every` steps write a sample sheet, a log line and the checkpoint.

    shown: uint8 [N,H,W], faces for the sheets; they teach nothing. The averaged generator is saved in
    `dest/generator` each time. The checkpoint is the last to be written: killed before it is, the run plays the
    interval again and writes the others anew. Raises InputError when a loss or a weight is no longer a number; the
    last checkpoint is kept. Of several processes all play, and one writes.
    """
    import math
    from collections import defaultdict

    import torch
    from tqdm import tqdm

    total, seen = learning.recipe.total_steps, defaultdict(list)
    with tqdm(total=total, initial=learning.step, unit="step", smoothing=0.05) as bar:
        for terms in run_steps(learning, faces, dtype):
            bar.update()
            for name, value in terms.items():
                seen[name].append(value)
            if learning.step % every and learning.step != total:
                continue
            means = {name: round(torch.stack(values).mean().item(), 4) for name, values in seen.items()}
            if not all(map(math.isfinite, means.values())) or not learning.is_finite():
                raise InputError(f"losses or weights are no longer numbers at step {learning.step}; {last_good(dest)}")
            if is_main_process():
                write(learning, means, shown, dest)
            bar.set_postfix(means)
            seen.clear()


def write(learning: "Trainer", means: dict[str, float], shown: "Tensor", dest: Path) -> None:
    """What an interval leaves on disk, the checkpoint last; `means` are its terms'."""
    from core_code.core_utils.files import append_line
    from EmotionGAN.editor import save_generator
    from EmotionGAN.networks.face_encoder import save_face_encoder

    save_generator(dest / "generator", learning.average)
    save_face_encoder(dest / "generator", learning.critic)
    append_line(dest / LOG, json.dumps({"step": learning.step} | means))
    write_sheet(dest / "sheets" / f"step_{learning.step:06d}.png", learning, shown)
    learning.save(dest / CHECKPOINT)


def last_good(dest: Path) -> str:
    """Where the run can be taken up again."""
    path = dest / CHECKPOINT
    return f"the last good checkpoint is {path}" if path.exists() else "there is no checkpoint yet"


def cut_log(path: Path, step: int) -> None:
    """Leave out the log's lines of steps beyond `step`, which will be played again, and one that is cut off."""
    from core_code.core_utils.files import atomic_write

    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if line.endswith(b"\n") and step_of(line) <= step]
    if kept != lines:
        atomic_write(path, lambda file: file.writelines(kept))


def step_of(line: bytes) -> float:
    """The step of a line of the log; infinity for what is no such line."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")


def exclusive_run(dest: Path) -> AbstractContextManager[None]:
    """Within it this run alone writes to `dest`. Raises InputError where another one does."""
    from core_code.core_utils.locks import exclusive_lock

    return exclusive_lock(dest) if is_main_process() else nullcontext()


def go_on(learning: "Trainer", dest: Path) -> None:
    """Go on where the checkpoint ends, if there is one. Raises InputError when processes have found different ones."""
    path = dest / CHECKPOINT
    if path.exists():
        learning.load(path)
        print(f"going on from step {learning.step} of {path}")
    check_same(learning.step, f"steps in {path}")
    if is_main_process():
        cut_log(dest / LOG, learning.step)


def end_interrupted(interrupt: KeyboardInterrupt, dest: Path) -> NoReturn:
    """Say what is saved, once, and raise what ends the command with the shell's status for the signal."""
    from core_code.core_utils.interrupts import exit_with_message

    if not is_main_process():
        raise interrupt
    exit_with_message(interrupt, f"{last_good(dest)}; start the same command again to go on")


def check_shares(recipe: "LearnConfig") -> None:
    """Raise InputError when a batch has fewer faces than there are processes."""
    for name in ("batch_size", "critic_batch_size"):
        if (faces := getattr(recipe, name)) < world_size():
            raise InputError(f"--{name} {faces} for {world_size()} processes, expected a face for each")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    from EmotionGAN.learn.config import LearnConfig

    parser = make_parser(
        "Learn an EmotionGAN generator from the training faces (val faces are only drawn on the sample sheets). Under "
        "torchrun several processes share every batch (docs/scaling.md).",
        "python -m EmotionGAN.learn --data_root data/fer2013 --dest runs/gaussian_48 --image_size 48 --width 32\n"
        "  torchrun --standalone --nproc_per_node 8 -m EmotionGAN.learn --dest runs/gaussian_48 --batch_size 64",
    )
    add_data_flags(parser)
    add_device_flags(parser)
    parser.add_argument("--dest", type=Path, required=True, help="folder of the run; started again, it goes on")
    parser.add_argument("--parametrisation", choices=("gaussian", "linear"), default="gaussian")
    parser.add_argument("--image_size", type=count, default=48, help="side of the faces in pixels (default: 48)")
    parser.add_argument("--width", type=count, default=32, help="channels of the first layer (GANmut: 64; default: 32)")
    parser.add_argument("--blocks", type=count, default=4, help="residual blocks (GANmut: 6; default: 4)")
    parser.add_argument(
        "--output", choices=("plain", "overlay"), default="overlay",
        help="plain: GANmut's; overlay: added to the face and to a statistical overlay (default: overlay)",
    )  # fmt: skip
    parser.add_argument(
        "--codes", choices=("maps", "norms"), default="norms",
        help="maps: GANmut's two constant channels; norms: scale and shift of the norms (default: norms)",
    )  # fmt: skip
    parser.add_argument("--every", type=count, default=500, help="steps between checkpoints and sheets (default: 500)")
    parser.add_argument(
        "--compile", type=boolean, nargs="?", const=True, default=False,
        help="compile the generator first: a minute, then faster steps; needs a C++ compiler (default: False)",
    )  # fmt: skip
    for field in fields(LearnConfig):
        parser.add_argument(
            f"--{field.name}", type=type(field.default), default=field.default,
            help=f"{field.metadata['help']} (default: {field.default})",
        )  # fmt: skip
    return parser.parse_args(arguments)


@distributed_session()
def main(arguments: list[str] | None = None) -> None:
    """Learn and report; under torchrun, as one of several processes. Raises InputError."""
    args = parse_arguments(arguments)

    from core_code.core_utils.devices import pick_device, pick_dtype
    from core_code.core_utils.interrupts import catch_sigterm
    from core_code.datasets.fer2013 import FER2013
    from EmotionGAN.learn.config import LearnConfig
    from EmotionGAN.learn.trainer import BalancedFaces, Trainer
    from EmotionGAN.networks.generator import GeneratorConfig

    config = GeneratorConfig(
        parametrisation=args.parametrisation, image_size=args.image_size, colours="grey", width=args.width,
        blocks=args.blocks, output=args.output, codes=args.codes, framing="fer2013",
    )  # fmt: skip
    config = GeneratorConfig.from_dict(config.to_dict(), "the flags")
    recipe = LearnConfig(**{field.name: getattr(args, field.name) for field in fields(LearnConfig)})
    check_shares(recipe)
    device = pick_device(args.device)
    with local_main_first():
        train = FER2013(args.data_root, "train", args.dataset, args.max_faces)
        shown = FER2013(args.data_root, "val", args.dataset, 10).faces
    with exclusive_run(args.dest), catch_sigterm():
        learning = Trainer(config, recipe, args.seed, device)
        go_on(learning, args.dest)
        faces = BalancedFaces(train.faces, train.labels, config.image_size, config.channels, device)
        if learning.step == 0:
            learning.start(faces)
        if args.compile:
            learning.generator.compile(dynamic=False)
        try:
            learn(learning, faces, shown, args.dest, args.every, pick_dtype(args.precision, device))
        except KeyboardInterrupt as interrupt:
            end_interrupted(interrupt, args.dest)
    print(f"generator: {args.dest / 'generator'}\nsheets: {args.dest / 'sheets'}")


if __name__ == "__main__":
    run_command(main)
