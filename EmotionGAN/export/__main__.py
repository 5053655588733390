"""Write a generator as an ONNX file, for use without PyTorch: `python -m EmotionGAN.export`."""

from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.errors import run_command


def main(arguments: list[str] | None = None) -> None:
    parser = flags.make_parser(
        "Write a generator as an ONNX file: uint8 faces and codes in, edited faces out, any batch size. The codes of "
        "the emotions are in its metadata. onnxruntime's results are compared with PyTorch's.",
        "python -m EmotionGAN.export --output generator.onnx",
    )
    flags.add_generator_flag(parser)
    flags.add_boolean(parser, "--float16", False, "store the weights in float16: half the size")
    parser.add_argument("--output", type=Path, default=Path("generator.onnx"), metavar="FILE")
    args = parser.parse_args(arguments)

    from EmotionGAN.export.run import export_generator

    print(export_generator(args.generator, args.output, args.float16))


if __name__ == "__main__":
    run_command(main)
