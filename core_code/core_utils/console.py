"""The console commands that `pip install .` brings: each is a module's command under a name of its own."""

import runpy
import sys
from pathlib import Path

# Name of the command: module that `python -m` runs. pyproject.toml lists the names.
COMMANDS = {
    "emotiongan-datasets": "core_code.datasets",
    "emotiongan-edit": "EmotionGAN.edit",
    "emotiongan-evaluate": "core_code.evaluate",
    "emotiongan-experiments": "core_code.experiments",
    "emotiongan-explore": "EmotionGAN.explore",
    "emotiongan-export-classifier": "core_code.export",
    "emotiongan-export-generator": "EmotionGAN.export",
    "emotiongan-figures": "EmotionGAN.figures",
    "emotiongan-learn": "EmotionGAN.learn",
    "emotiongan-measure": "EmotionGAN.measure",
    "emotiongan-predict": "core_code.predict",
    "emotiongan-soft-labels": "core_code.soft_labels",
}


def main() -> None:
    """Run the module of the command that was typed, as `python -m` does."""
    runpy.run_module(COMMANDS[Path(sys.argv[0]).stem], run_name="__main__", alter_sys=True)
