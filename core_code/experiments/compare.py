"""Two studies of the same faces, net by net: what another generator does, or another recipe."""

from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.errors import run_command

FILE = "results_predictions.csv"


def main(arguments: list[str] | None = None) -> None:
    parser = flags.make_parser(
        "Compare what the nets of two studies predict, at the last epoch, for val and test together: for each arm how "
        "much more the nets of STUDY predict correctly than those of OTHER, in percentage points, paired by seed and "
        "face, with intervals of 95 % over seeds and faces and p corrected by Holm. The studies must be of the same "
        "faces; nets that predict the same, such as baselines that were copied, are left out.",
        "python -m core_code.experiments.compare docs/results/tenth docs/results/tenth_own_generator",
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help=f"a folder with {FILE}")
    parser.add_argument("other", type=Path, metavar="OTHER", help="another one")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table there, too")
    flags.add_data_flags(parser, max_faces=False)
    args = parser.parse_args(arguments)

    import pandas as pd

    from core_code.core_utils.files import check_writable
    from core_code.core_utils.tables import as_markdown, write_csv
    from core_code.experiments.tables import difference_cells
    from core_code.experiments.two_studies import compare_studies

    inputs = args.study / FILE, args.other / FILE
    if args.csv:
        check_writable(args.csv, inputs)
    table = compare_studies(*inputs, args.data_root, args.dataset)
    named = table[["model", "share", "on", "seeds"]]
    print("Percentage points, STUDY less OTHER, with intervals of 95 % over seeds and faces; * p (Holm) below 0.05\n")
    print(as_markdown(pd.concat([named, difference_cells(table)], axis=1).replace("\n", " ", regex=True)))
    if args.csv:
        write_csv(args.csv, table)


if __name__ == "__main__":
    run_command(main)
