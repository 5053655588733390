"""A training run in its folder: steps, the log, sample sheets, the generator and the checkpoint.

One counter of steps runs through both stages. All random numbers of a step depend on (seed, step) alone, so that a
resumed run ends as an uninterrupted one.
"""

import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from core_code.core_utils.distributed.job import any_process, check_same, is_main_process
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import append_line, atomic_write
from core_code.core_utils.locks import exclusive_lock
from core_code.core_utils.signals import catch_signals, exit_with_message
from core_code.core_utils.tensorboard import NO_BOARD, Board
from EmotionGAN.editor import save_generator
from EmotionGAN.learn.data import BalancedFaces
from EmotionGAN.learn.steps import Steps
from EmotionGAN.learn.trainer import Trainer
from EmotionGAN.networks.face_encoder import save_face_encoder
from EmotionGAN.sheets import write_sample_sheet

CHECKPOINT, LOG = "learning.pth", "learning.jsonl"


def training_steps(trainer: Trainer, faces: BalancedFaces, dtype: torch.dtype) -> Iterator[dict[str, Tensor]]:
    """Take the remaining steps, yielding the terms of each step's loss."""
    steps = Steps(trainer, faces, dtype)
    while trainer.step < trainer.config.total_steps:
        rng = torch.Generator().manual_seed(trainer.seed * 1_000_003 + trainer.step)
        if trainer.step < trainer.config.discriminator_steps:
            terms = steps.pretraining_step(rng)
        else:
            trainer.freeze_guides()
            terms = steps.adversarial_step(rng)
        trainer.step += 1
        yield terms


def run(
    trainer: Trainer, faces: BalancedFaces, shown: Tensor, dest: Path, every: int, dtype: torch.dtype, compiled: bool,
    minutes: float = math.inf, start_from: Path | None = None, board: Board = NO_BOARD,
) -> None:  # fmt: skip
    """Resume the run in `dest`, or start it (from the weights of a generator's folder, if one is given), and train to
    its last step or for so many minutes, with a compiled generator if `compiled`. Raises InputError where another
    process trains there. Interrupted, it reports once what is saved, and exits with the shell's status for the signal.
    """
    with exclusive_lock(dest) if is_main_process() else nullcontext(), catch_signals():
        resume(trainer, dest)
        if trainer.step == 0:
            trainer.prepare(faces)
            if start_from:
                trainer.start_from(start_from)
        if compiled:
            trainer.generator.compile(dynamic=False)
        try:
            learn(trainer, faces, shown, dest, every, dtype, minutes, board)
        except KeyboardInterrupt as interrupt:
            if not is_main_process():
                raise
            exit_with_message(interrupt, f"{last_good(dest)}; start the same command again to go on")


def learn(
    trainer: Trainer, faces: BalancedFaces, shown: Tensor, dest: Path, every: int, dtype: torch.dtype,
    minutes: float = math.inf, board: Board = NO_BOARD,
) -> None:  # fmt: skip
    """Train to the config's last step, or for so many minutes; every `every` steps and at the end write a sample sheet,
    a log line and the checkpoint.

    shown: uint8 [N,H,W], faces for the sheets, not trained on. The EMA generator is saved in `dest/generator` each
    time. The checkpoint is written last: killed before it is, a run repeats the interval and writes the other files
    again. Raises InputError when a loss or a weight is no longer finite; the last checkpoint is kept. Of several
    processes all train, and the main process writes.
    """
    total, seen, end = trainer.config.total_steps, defaultdict(list), time.monotonic() + 60 * minutes
    with tqdm(total=total, initial=trainer.step, unit="step", smoothing=0.05) as bar:
        for terms in training_steps(trainer, faces, dtype):
            bar.update()
            for name, value in terms.items():
                seen[name].append(value)
            out_of_time = math.isfinite(minutes) and any_process(time.monotonic() > end)
            if trainer.step % every and trainer.step != total and not out_of_time:
                continue
            means = {name: round(torch.stack(values).mean().item(), 4) for name, values in seen.items()}
            if not all(map(math.isfinite, means.values())) or not trainer.is_finite():
                raise InputError(f"losses or weights are no longer numbers at step {trainer.step}; {last_good(dest)}")
            if is_main_process():
                write_interval(trainer, means, shown, dest, board)
            bar.set_postfix(means)
            seen.clear()
            if out_of_time:
                break


def write_interval(trainer: Trainer, means: dict[str, float], shown: Tensor, dest: Path, board: Board) -> None:
    """Write the files of an interval, the checkpoint last; `means` are those of its terms."""
    save_generator(dest / "generator", trainer.ema)
    save_face_encoder(dest / "generator", trainer.discriminator)
    append_line(dest / LOG, json.dumps({"step": trainer.step} | means))
    sheet = dest / "sheets" / f"step_{trainer.step:06d}.png"
    write_sample_sheet(sheet, trainer.ema, shown)
    board.scalars(means, trainer.step)
    board.picture("sheet", sheet, trainer.step)
    trainer.save(dest / CHECKPOINT)


def last_good(dest: Path) -> str:
    """A message that names the checkpoint from which the run can be resumed."""
    path = dest / CHECKPOINT
    return f"the last good checkpoint is {path}" if path.exists() else "there is no checkpoint yet"


def resume(trainer: Trainer, dest: Path) -> None:
    """Load the checkpoint, if there is one. Raises InputError when processes have found different ones."""
    path = dest / CHECKPOINT
    if path.exists():
        trainer.load(path)
        print(f"going on from step {trainer.step} of {path}")
    check_same(trainer.step, f"steps in {path}")
    if is_main_process():
        trim_log(dest / LOG, trainer.step)


def trim_log(path: Path, step: int) -> None:
    """Remove the log's lines of steps beyond `step`, which will be taken again, and damaged ones."""
    if path.exists():
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if is_kept(line, step)]
        if kept != lines:
            atomic_write(path, lambda file: file.writelines(kept))


def is_kept(line: bytes, step: int) -> bool:
    """Whether it is a whole line of a step up to `step`."""
    try:
        return line.endswith(b"\n") and json.loads(line)["step"] <= step
    except (ValueError, KeyError, TypeError):
        return False
