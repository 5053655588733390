"""Fine-tune EmotionNet on FER2013: baseline, with GAN augmentations, or with the expanded data set."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from core_code.core_utils import flags
from core_code.core_utils.errors import InputError, run_command
from core_code.models.architectures import ARCHITECTURES

if TYPE_CHECKING:
    import torch

    from core_code.core_utils.checkpoints import CheckpointFiles
    from core_code.core_utils.logs import TrainingLog
    from core_code.datasets.batches import FaceBatches
    from core_code.epochs import Record
    from core_code.models.emotion_net import EmotionNet
    from core_code.train import ClassifierTask, Training


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags; those of the optimisation default to the net's entry in the table of architectures."""
    parser = flags.make_parser(
        __doc__, "python train_model.py --net_name resnet18 --exp_name Baseline --emotion_transform_prob 0"
    )
    parser.add_argument("--net_name", choices=tuple(ARCHITECTURES), required=True)
    parser.add_argument("--exp_name", type=flags.run_name, required=True, help="becomes part of the files' names")
    parser.add_argument("--epochs", type=flags.count, default=100, help="(default: 100)")
    parser.add_argument(
        "--emotion_transform_prob", type=flags.probability, default=None, metavar="P",
        help="the chance that a drawn face is replaced by one of its augmentations, 0 to 1; 0 is the baseline "
        "(required unless --use_expanded_dataset, ignored with it)",
    )  # fmt: skip
    flags.add_boolean(parser, "--use_expanded_dataset", False, "train on FER2013 and its expansion")
    flags.add_boolean(parser, "--fine_tune", False, "train the new head only")
    flags.add_boolean(parser, "--load_byol", False, "start from the BYOL weights of the same net and experiment")
    flags.add_boolean(parser, "--resume", False, "go on from the last epoch of the same net and experiment")
    flags.add_boolean(parser, "--verbose", False, "a status line in the log every 100 iterations")
    parser.add_argument("--batch_size", type=flags.count, default=None, help="(default: the net's)")
    parser.add_argument("--lr", type=flags.positive, default=None, help="learning rate (default: the net's)")
    parser.add_argument("--weight_decay", type=flags.non_negative, default=None, help="(default: the net's)")
    parser.add_argument("--optimizer", choices=("adam", "sgd"), default=None, help="(default: the net's)")
    parser.add_argument(
        "--scheduler", choices=("cosine", "step", "none"), default=None,
        help="cosine over the epochs, step: a tenth every 10 epochs, or none (default: the net's)",
    )  # fmt: skip
    parser.add_argument("--augmentations_folder", type=Path, default=Path("data/fer2013_augmentations"))
    parser.add_argument("--expanded_folder", type=Path, default=Path("data/expanded_fer_2013"))
    flags.add_output_flag(parser)
    flags.add_data_flags(parser)
    flags.add_network_flags(parser)
    flags.add_device_flags(parser)
    args = parser.parse_args(arguments)
    if args.emotion_transform_prob is None and not args.use_expanded_dataset:
        parser.error("--emotion_transform_prob is required, 0 to 1 (unless --use_expanded_dataset is given)")
    for name, value in vars(ARCHITECTURES[args.net_name].defaults).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


def main(arguments: list[str] | None = None) -> None:
    """Train and report. Raises InputError."""
    args = parse_arguments(arguments)
    from core_code.core_utils.checkpoints import CheckpointFiles
    from core_code.core_utils.devices import pick_device, pick_dtype
    from core_code.core_utils.logs import TrainingLog
    from core_code.epochs import run_epochs
    from core_code.train import ClassifierTask, Training

    device = pick_device(args.device)
    dtype = pick_dtype(args.precision, device)
    training = Training(
        epochs=args.epochs, lr=args.lr, weight_decay=args.weight_decay, optimizer=args.optimizer,
        scheduler=args.scheduler, image_size=args.image_size, seed=args.seed, dtype=dtype,
    )  # fmt: skip
    files = CheckpointFiles(args.output_root / "checkpoints", args.net_name, args.exp_name)
    train, train_plain, val, made_from = open_data(args, device)
    net = make_net(args, files).to(device)
    task = ClassifierTask(net, train, train_plain, val, training)
    log = TrainingLog(args.output_root / "logs")
    log.parameters({**vars(args), "device": device, "dtype": dtype, "training_faces": task.faces_per_epoch})
    log.line(str(net))
    print(f"{args.net_name} on {task.faces_per_epoch} faces, {device} in {dtype}, log in {log.path}")
    history = run_epochs(task, args.epochs, deciding(args, made_from), files, log, args.resume, args.verbose)
    report(args, task, training, history, files, log)


def open_data(
    args: argparse.Namespace, device: "torch.device"
) -> tuple["FaceBatches", "FaceBatches", "FaceBatches", dict[str, str | int]]:
    """Batches for training, for the training accuracy and for validation; and what the training data are."""
    from core_code.core_utils.files import read_json
    from core_code.datasets.augmentation_manifest import MANIFEST_NAME
    from core_code.datasets.batches import FaceBatches
    from core_code.datasets.fer2013 import FER2013

    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    val = FER2013(args.data_root, "val", args.dataset)
    made_from = {"training_data": faces.fingerprint()}
    augmentations, probability, folder = None, 0.0, None
    if args.use_expanded_dataset:
        from core_code.datasets.fer2013_exp import FER2013Exp

        folder = args.expanded_folder
        faces = FER2013Exp(faces, folder)
    elif args.emotion_transform_prob > 0:
        from core_code.datasets.augmentation_store import Augmentations

        probability = args.emotion_transform_prob
        folder = args.augmentations_folder
        augmentations = Augmentations.open(folder, faces)
    if folder:
        manifest = read_json(folder / MANIFEST_NAME)
        made_from |= {f"images' {key}": manifest.get(key) for key in ("generator_fingerprint", "seed", "images")}
    train = FaceBatches(
        faces, args.batch_size, device, shuffle=True, seed=args.seed,
        augmentations=augmentations, probability=probability,
    )  # fmt: skip
    plain = FaceBatches(faces, args.batch_size, device)
    return train, plain, FaceBatches(val, args.batch_size, device), made_from


def make_net(args: argparse.Namespace, files: "CheckpointFiles") -> "EmotionNet":
    """The net with the weights that it starts from; a resumed one gets them from its checkpoint later."""
    import torch

    from core_code.core_utils.checkpoints import BEST, LAST, CheckpointFiles
    from core_code.models.emotion_net import EmotionNet

    torch.manual_seed(args.seed)
    net = EmotionNet(args.net_name, head_only=args.fine_tune, hidden_head=args.load_byol)
    if args.resume and files.path(LAST).exists():
        return net
    if not args.load_byol:
        net.load_backbone(args.weights)
        return net
    byol = CheckpointFiles(files.folder, args.net_name, args.exp_name, byol=True)
    if not byol.path(BEST).exists():
        command = f"python train_byol_model.py --net_name {args.net_name} --exp_name {args.exp_name}"
        raise InputError(f"{byol.path(BEST)}: no such BYOL checkpoint; make it with: {command}")
    net.load_backbone_state(byol.load(BEST), str(byol.path(BEST)))
    return net


def deciding(args: argparse.Namespace, made_from: dict[str, str | int]) -> dict[str, str | int | float | bool | None]:
    """The settings that decide the result: a run resumes with the same ones only.

    The number of epochs is one of them where the learning rate's schedule depends on it.
    """
    names = ["batch_size", "lr", "weight_decay", "optimizer", "scheduler", "image_size", "seed", "weights",
             "fine_tune", "load_byol", "use_expanded_dataset", "emotion_transform_prob", "dataset"]  # fmt: skip
    if args.scheduler == "cosine":
        names.append("epochs")
    settings = {name: getattr(args, name) for name in names}
    if args.use_expanded_dataset:
        settings["emotion_transform_prob"] = None
    return {**settings, **made_from}


def report(
    args: argparse.Namespace, task: "ClassifierTask", training: "Training", history: "list[Record]",
    files: "CheckpointFiles", log: "TrainingLog",
) -> None:  # fmt: skip
    """Pictures, and the best epoch's figures on val."""
    from core_code.core_utils.checkpoints import BEST, load_net
    from core_code.core_utils.metrics import as_table, score
    from core_code.core_utils.plots import plot_accuracies, plot_confusion_matrix
    from core_code.datasets.fer2013 import EMOTIONS
    from core_code.epochs import say
    from core_code.inference import predict

    best = files.load(BEST)
    load_net(task.net, best, files.path(BEST))
    scores = score(*predict(task.net, task.val, training.image_size, training.dtype, "report"))
    plots = args.output_root / "plots_output"
    plot_accuracies(history, plots, args.net_name, args.exp_name)
    plot_confusion_matrix(
        scores.confusion, EMOTIONS, plots / f"confusion_matrix_{args.net_name}_{args.exp_name}.png",
        f"{args.net_name}, {args.exp_name}: val, {scores.faces} faces, top-1 {100 * scores.top1:.2f} %",
    )  # fmt: skip
    say(f"\nbest epoch on val: {best['epoch']} of {args.epochs}", log)
    say(
        f"top-1 {100 * scores.top1:.2f}%  top-2 {100 * scores.top2:.2f}%  "
        f"mean per class {100 * scores.mean_per_class:.2f}%  ({scores.faces} faces)",
        log,
    )
    say(as_table(scores.confusion, EMOTIONS), log)
    say(f"checkpoints: {files.path('*')}\nplots: {plots}\nlog: {log.path}", log)


if __name__ == "__main__":
    run_command(main)
