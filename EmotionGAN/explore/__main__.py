"""Drag a point over the space of emotions and watch a face follow: `python -m EmotionGAN.explore`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from core_code.core_utils import flags
from core_code.core_utils.errors import run_command

if TYPE_CHECKING:
    import torch

    from EmotionGAN.explore.server import Predict


def load_classifier(path: Path, device: "torch.device", dtype: "torch.dtype") -> "Predict":
    """A trained net as a function of faces uint8 [B,H,W] to probabilities [B,7] on the CPU. Raises InputError."""
    from core_code.core_utils.emotions import EMOTIONS
    from core_code.datasets.splits import SIDE
    from core_code.training.inference import load_trained_file, predict_batch
    from EmotionGAN.images import resize_faces

    net, size = load_trained_file(path, device, EMOTIONS)
    net.eval()
    return lambda faces: predict_batch(net, resize_faces(faces, SIDE).to(device), size, dtype).softmax(1).cpu()


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = flags.make_parser(
        "Serve a page on this computer alone: drag a point over the conditional space and see a face change at once, "
        "with the mixture of emotions there and a classifier's prediction. Open the printed address in a browser; "
        "Ctrl-C ends it.",
        "python -m EmotionGAN.explore --face photo.jpg",
    )
    parser.add_argument("--face", type=Path, help="a photo whose faces are offered, with the consent of those in it; "
                        "without a detector, its centre square (default: a dozen faces of --dataset)")  # fmt: skip
    flags.add_face_detector_flag(parser)
    parser.add_argument("--checkpoint", type=Path, help="a classifier that predicts the emotion of each edited face: a "
                        "checkpoint of train_model.py (default: the net that is included)")  # fmt: skip
    port = flags.number("a port from 0 to 65535", lambda value: 0 <= value < 65536, int)
    parser.add_argument("--port", type=port, default=7860, help="0 takes any free one")
    flags.add_data_flags(parser, max_faces=False, default="sample")
    flags.add_editor_flags(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse_arguments(arguments)

    from core_code.core_utils.devices import pick_hardware
    from core_code.core_utils.emotions import EMOTIONS
    from core_code.core_utils.signals import catch_signals, exit_with_message
    from core_code.datasets.fer2013 import FER2013
    from core_code.training.inference import SHIPPED_CLASSIFIER
    from EmotionGAN.editor import Editor
    from EmotionGAN.explore.faces import faces_of_photo, one_of_each_first
    from EmotionGAN.explore.server import Explorer, ExplorerServer

    device, dtype = pick_hardware(args.device, args.precision)
    editor = Editor.load(args.generator, device, dtype, args.accelerate)
    if args.face is not None:
        faces = faces_of_photo(args.face, args.face_detector, editor.generator.config.framing, editor.image_size)
        titles = [f"face {number + 1} of {args.face.name}" for number in range(len(faces))]
    else:
        data = FER2013(args.data_root, "val", args.dataset)
        rows = one_of_each_first(data.labels.tolist())
        faces, titles = data.faces[rows], [EMOTIONS[label] for label in data.labels[rows]]
    checkpoint = args.checkpoint or SHIPPED_CLASSIFIER
    explorer = Explorer(editor, faces, titles, load_classifier(checkpoint, device, dtype), checkpoint.name)
    with catch_signals(), ExplorerServer(explorer, args.port) as server:
        print(f"{len(faces)} faces, generator {editor.name}: open {server.url} (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt as interrupt:
            exit_with_message(interrupt, "the page is no longer served")


if __name__ == "__main__":
    run_command(main)
