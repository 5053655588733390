"""Fine-tune EmotionNet on FER2013: baseline, with GAN augmentations, or with the expanded data set."""

import argparse
from pathlib import Path

from core_code.core_utils import choices, flags
from core_code.core_utils.choices import EXPANDED_FOLDER
from core_code.core_utils.distributed.job import distributed_session
from core_code.core_utils.errors import run_command
from core_code.models.architectures import ARCHITECTURES, STEMS
from core_code.training.recipes import RECIPES, default_recipe, recipe_values


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags; those of the optimisation default to the study's winner, else to the recipe's entry in the table.

    Raises InputError for a study that cannot be read.
    """
    parser = flags.make_parser(
        __doc__,
        "python train_model.py --net_name resnet18 --exp_name Regular --emotion_transform_prob 0 --fine_tune True",
    )
    flags.add_run_flags(parser, ARCHITECTURES)
    parser.add_argument(
        "--emotion_transform_prob", type=flags.probability, metavar="P",
        help="the chance that a training face is replaced by one of its augmentations, 0 to 1; 0 is the baseline "
        "(required unless --use_expanded_dataset, ignored with it)",
    )  # fmt: skip
    flags.add_boolean(parser, "--use_expanded_dataset", False, "train on FER2013 and its expansion")
    flags.add_boolean(
        parser, "--fine_tune", False,
        "True trains the whole net, as every published run did; False is feature extraction: the backbone is frozen "
        "and the new head alone learns",
    )  # fmt: skip
    flags.add_boolean(parser, "--load_byol", False, "start from the BYOL weights of the same net and experiment")
    parser.add_argument(
        "--faces_per_epoch", type=flags.count, metavar="N",
        help="count N training faces as an epoch; the next epoch goes on with the next N, so that sets of different "
        "sizes can be compared after equally many faces, epochs and validations (default: all)",
    )  # fmt: skip
    add_study_flags(parser)
    flags.add_recipe_flags(parser, RECIPES, STEMS)
    parser.add_argument(
        "--study", type=Path, metavar="PKL",
        help="a study of optuna_study.py, whose best trial gives --batch_size, --lr, --weight_decay, --optimizer and "
        "--scheduler where they are not given; nothing but plain data is read from the file",
    )  # fmt: skip
    flags.add_augmentations_flag(parser, "what create_augmentations.py made")
    parser.add_argument("--expanded_folder", type=Path, default=EXPANDED_FOLDER,
                        help="where create_augmentations.py --expand_dataset True wrote the expansion")  # fmt: skip
    flags.add_training_flags(parser, own_labels=True)
    args = parser.parse_args(arguments)
    check_faces(parser, args)
    args.recipe = args.recipe or default_recipe(args.weights, other_start=bool(args.load_byol or args.study))
    values = recipe_values(args.recipe, args.net_name, args.image_size)
    if args.study:
        from core_code.search.results import read_best_values

        flags.fill_in(args, argparse.Namespace(**read_best_values(args.study, args.net_name)))
    flags.fill_in_recipe(parser, args, values)
    return args


def add_study_flags(parser: argparse.ArgumentParser) -> None:
    """What the arms of a study differ by, beside the images."""
    parser.add_argument(
        "--labels", choices=choices.LABELS, default=choices.HARD_LABELS,
        help="hard: the data's own; ferplus: the votes of FERPlus on eight emotions, fer2013new.csv beside the CSV, as "
        "distributions to train on, and their majority for accuracy",
    )  # fmt: skip
    parser.add_argument(
        "--class_shares", choices=choices.CLASS_SHARES, default=choices.OWN_SHARES,
        help="how often each emotion is sampled: own, every face once an epoch; expanded, as often as in the expanded "
        "set, or equal: as many real faces an epoch, with repetitions",
    )  # fmt: skip
    parser.add_argument("--soft_labels", type=Path, metavar="NPZ", help="train on what teachers predict in place of "
                        "the labels: a file of python -m core_code.soft_labels (default: the labels)")  # fmt: skip
    parser.add_argument(
        "--real_only_last", type=flags.probability, default=0.0, metavar="SHARE",
        help="the last share of the epochs is on real faces alone, without augmentations and expansion",
    )  # fmt: skip
    flags.add_boolean(
        parser, "--synthetic_norms", False,
        "normalise generated faces by batch norms of their own; evaluation uses those of the real ones",
    )  # fmt: skip


def check_faces(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse flags that contradict each other about the training faces."""
    if args.emotion_transform_prob is None and not args.use_expanded_dataset:
        parser.error("--emotion_transform_prob is required, 0 to 1 (unless --use_expanded_dataset is given)")
    if args.use_expanded_dataset and args.class_shares != choices.OWN_SHARES:
        parser.error(f"--class_shares {args.class_shares} is for real faces, not with --use_expanded_dataset")
    if args.labels == choices.FERPLUS:
        if args.dataset != "fer2013":
            parser.error("--labels ferplus is about the CSV of FER2013: --dataset fer2013")
        if args.use_expanded_dataset or args.emotion_transform_prob or args.soft_labels:
            parser.error("--labels ferplus has an eighth emotion, contempt, which generators and soft labels do not "
                         "know: give --emotion_transform_prob 0, and no --soft_labels")  # fmt: skip
        args.dataset = choices.FERPLUS
    if args.synthetic_norms and not args.fine_tune:
        parser.error("--synthetic_norms needs --fine_tune True: the norms of a frozen backbone do not learn")
    if args.dataset == choices.OWN_LABELS and (args.use_expanded_dataset or args.emotion_transform_prob):
        parser.error("--dataset own_labels: the generator knows the seven emotions of FER2013 alone, so that there are "
                     "no synthetic faces; give --emotion_transform_prob 0")  # fmt: skip


@distributed_session()
def main(arguments: list[str] | None = None) -> None:
    """Train and report; under torchrun, as one of several processes. Raises InputError."""
    args = parse_arguments(arguments)
    from core_code.core_utils.devices import pick_hardware
    from core_code.training.runs import run_classifier
    from core_code.training.settings import ClassifierRun

    device, dtype = pick_hardware(args.device, args.precision)
    run_classifier(flags.as_settings(ClassifierRun, args, device=device, dtype=dtype), vars(args))


if __name__ == "__main__":
    run_command(main, "the same command with --resume True goes on from there")
