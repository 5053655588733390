"""Store a checkpoint's net in 8 bits, a quarter of its size: `python -m core_code.models.quantise CHECKPOINT DEST`."""

from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.checkpoints import read_checkpoint
from core_code.core_utils.errors import run_command
from core_code.core_utils.files import save_weights


def quantise_checkpoint(checkpoint: Path, dest: Path) -> None:
    """Write a checkpoint of train_model.py anew: weights of convolutions and linear layers in 8 bits, norms and biases
    as they are, and without what training would go on from. Whatever takes a checkpoint takes it. Raises InputError."""
    from core_code.core_utils.weights import quantised

    state = read_checkpoint(checkpoint, "settings", "history")
    kept = {key: state[key] for key in ("name", "experiment", "epoch", "loss", "seed", "history", "settings")}
    save_weights(dest, {**kept, "optimizer": None, "scheduler": None, "net": quantised(state["net"])})


def main(arguments: list[str] | None = None) -> None:
    parser = flags.make_parser(
        "Store a checkpoint's net in 8 bits, for use and for fine-tuning.",
        "python -m core_code.models.quantise checkpoints/ckpt_resnet18_Regular_best_validation.pth classifier.pth",
    )
    parser.add_argument("checkpoint", type=Path, help="of train_model.py")
    parser.add_argument("dest", type=Path, help="the file to write")
    args = parser.parse_args(arguments)
    quantise_checkpoint(args.checkpoint, args.dest)
    print(f"{args.dest}: {args.dest.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_command(main)
