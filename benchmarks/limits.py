"""Where the time of a training step goes, beside the most that the processor can multiply.

    OMP_NUM_THREADS=1 python benchmarks/limits.py --net_name resnet18 --image_size 64

Counts the floating-point operations of a step (torch.utils.flop_counter; a convolution's, padding included), measures
how many a large product of matrices does a second with the same type in turns with the steps, and adds up the
profiler's time by kind of work. `possible` is how much faster a step would be if all but convolutions and products took
no time. Prints one JSON object.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import print_json, speed
from benchmarks.train import our_steps, prepare, training_parser
from core_code.core_utils.errors import InputError, run_command
from core_code.datasets.loader import FaceBatches
from core_code.models.architectures import ARCHITECTURES, IMAGENET_STEM, STEMS
from core_code.models.emotion_net import EmotionNet
from core_code.training.classifier import ClassifierTask

SIDE, PRODUCTS = 1024, 20  # of the matrices whose product shows the peak
MULTIPLYING = "convolutions and products"
KINDS = {
    MULTIPLYING: ("conv", "mm", "linear"), "norms": ("norm",), "optimizer": ("adam", "sgd"),
    "activations and pooling": ("relu", "clamp", "threshold", "pool"), "copies": ("copy", "cat", "clone", "contiguous"),
}  # fmt: skip


def kind_of(name: str) -> str:
    """The kind of work of one of the profiler's events."""
    return next((kind for kind, words in KINDS.items() if any(word in name.lower() for word in words)), "other")


def products(side: int, device: torch.device, dtype: torch.dtype) -> Iterator[int]:
    """Endless products of square matrices; yields the operations of each."""
    matrix = torch.rand(side, side, device=device).to(dtype)
    while True:
        matrix @ matrix
        yield 2 * side**3


def operations_of_a_face(net: nn.Module, size: int) -> float:
    """Of a forward and a backward pass."""
    with FlopCounterMode(display=False) as counter:
        net.train()(torch.rand(2, 3, size, size)).sum().backward()
    return counter.get_total_flops() / 2


def shares_of_time(work: Iterator[int]) -> dict[str, float]:
    """Of one step of the work, by kind, the largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        next(work)
    times: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        times[kind_of(event.key)] += event.self_cpu_time_total
    return {kind: round(times[kind] / sum(times.values()), 3) for kind in sorted(times, key=lambda kind: -times[kind])}


def main() -> None:
    parser = training_parser(__doc__, ("ours",))
    parser.add_argument("--stem", choices=STEMS, default=IMAGENET_STEM, help="of the net")
    args = parser.parse_args()
    device, faces, _, training = prepare(args, ARCHITECTURES[args.net_name].defaults)
    if device.type != "cpu":
        raise InputError(f"--device {device}: the times are those of a processor, expected cpu")
    batches = FaceBatches(faces, args.batch_size, device, shuffle=True)
    task = ClassifierTask(EmotionNet(args.net_name, stem=args.stem).train(), batches, batches, training)
    running = our_steps(task), products(SIDE, device, training.dtype)
    speed(running[0], 1), speed(running[1], 1)
    both = [(speed(running[0], args.steps), speed(running[1], PRODUCTS)) for _ in range(args.rounds)]
    rate, peak = (max(each.per_cpu_s for each in speeds) for speeds in zip(*both, strict=True))
    operations = operations_of_a_face(EmotionNet(args.net_name, stem=args.stem), args.image_size)
    shares = shares_of_time(running[0])
    print_json({
        "net": args.net_name, "image_size": args.image_size, "batch_size": args.batch_size,
        "dtype": str(training.dtype), "faces_per_cpu_s": round(rate, 2), "gflop_a_face": round(operations / 1e9, 3),
        "peak_gflop_per_cpu_s": round(peak / 1e9, 1), "share_of_peak": round(rate * operations / peak, 3),
        "shares_of_time": shares, "possible": round(1 / shares[MULTIPLYING], 2),
    })  # fmt: skip


if __name__ == "__main__":
    run_command(main)
