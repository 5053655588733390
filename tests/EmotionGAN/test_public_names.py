"""What `import EmotionGAN` offers."""

import subprocess
import sys
from pathlib import Path

import pytest

import EmotionGAN
from EmotionGAN.editor import Editor, load_generator


def test_public_names_are_the_objects_of_their_modules():
    assert EmotionGAN.Editor is Editor and EmotionGAN.load_generator is load_generator
    assert EmotionGAN.EMOTIONS == ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")
    with pytest.raises(AttributeError, match="no attribute 'Painter'"):
        _ = EmotionGAN.Painter


def test_importing_the_package_alone_does_not_import_torch():
    code = "import EmotionGAN, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], timeout=60).returncode == 0
