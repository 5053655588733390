"""Tell what lies in --data_root, and whether it is whole: `python -m core_code.datasets`."""

from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.choices import DATA_ROOT
from core_code.core_utils.errors import run_command


def main(arguments: list[str] | None = None) -> None:
    parser = flags.make_parser(
        "Look at the faces in a folder: in which of FER2013's forms they are (a CSV, parquet files or image folders), "
        "whether every split and emotion is whole, how many faces stand there twice or in two splits, and what to "
        "type next.",
        "python -m core_code.datasets --data_root data/fer2013",
    )
    parser.add_argument("--data_root", type=Path, default=DATA_ROOT, help="the folder to look at")
    args = parser.parse_args(arguments)

    from core_code.datasets.inspection import load_any, report

    print("\n\n".join(report(args.data_root, *load_any(args.data_root))))


if __name__ == "__main__":
    run_command(main)
