"""Write a trained classifier as an ONNX file, for use without PyTorch: `python -m core_code.export`."""

from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.errors import run_command


def main(arguments: list[str] | None = None) -> None:
    parser = flags.make_parser(
        "Write a trained classifier as an ONNX file: uint8 faces in, logits and probabilities out, any batch size. The "
        "view that the net was trained on is part of the file. onnxruntime's results are compared with PyTorch's.",
        "python -m core_code.export --checkpoint checkpoints/ckpt_resnet18_Regular_best_validation.pth",
    )
    add = parser.add_argument
    add("--checkpoint", type=Path, metavar="FILE", help="of train_model.py (default: the net that is included)")
    add("--image_size", type=flags.view_side,
        help="side of the views in pixels (default: what the net was trained on; 224 "
        "for published checkpoints)")  # fmt: skip
    flags.add_boolean(parser, "--float16", False, "store the weights in float16: half the size")
    add("--output", type=Path, metavar="FILE", help="(default: beside the checkpoint, ending in .onnx; without one, "
        "classifier.onnx here)")  # fmt: skip
    args = parser.parse_args(arguments)

    from core_code.prediction.classifier import Classifier
    from core_code.prediction.to_onnx import export_classifier

    classifier = Classifier.load(args.checkpoint, device="cpu", precision="fp32", image_size=args.image_size)
    output = args.output or (None if args.checkpoint else Path("classifier.onnx"))
    print(export_classifier(classifier, output, args.float16))


if __name__ == "__main__":
    run_command(main)
