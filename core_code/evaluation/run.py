"""An evaluation from checkpoints to tables and pictures."""

from dataclasses import replace

from core_code.core_utils.choices import FERPLUS
from core_code.core_utils.emotions import FERPLUS_EMOTIONS
from core_code.evaluation.predictions import load_nets, predict_splits
from core_code.evaluation.report import as_text, draw_pictures, make_report, with_votes, write_figures
from core_code.evaluation.settings import EvaluationSettings
from core_code.evaluation.tsne import draw_maps, faces_to_map


def evaluate(settings: EvaluationSettings, tsne: bool = False) -> None:
    """Predict val and test, write figures and pictures (with `tsne` maps of features too), print the tables.

    Nets of `--labels ferplus` are evaluated on these labels. Raises InputError before anything is written.
    """
    nets = load_nets(settings)
    emotions = next(iter(nets.values())).net.emotions
    ferplus = emotions == FERPLUS_EMOTIONS and settings.dataset == "fer2013"
    settings = replace(settings, emotions=emotions, dataset=FERPLUS if ferplus else settings.dataset)
    mapped = faces_to_map(settings) if tsne else None
    predictions = predict_splits(settings, nets)
    report = make_report(predictions, settings.tta)
    silhouettes, maps = draw_maps(settings, nets, mapped) if mapped else ({}, [])
    pictures = draw_pictures(report, predictions, settings)
    figures = write_figures(report, settings, silhouettes)
    print(as_text(report, list(with_votes(predictions["val"].logits)), settings.emotions))
    kinds = "{confusion_matrix,reliability,most_wrong" + (",tsne" if maps else "") + "}"
    count = sum(map(len, pictures.values())) + len(maps)
    print(f"\nfigures: {', '.join(map(str, figures))}")
    print(f"pictures: {count}, {figures[0].parent}/{kinds}_{settings.net_name}_*.png")
