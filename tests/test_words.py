"""The field's words: names, comments, messages and documents use none of the project's former private ones."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLACES = ("*.py", "*.md", "Makefile", "core_code", "EmotionGAN", "benchmarks", "docs")
SUFFIXES = {".py", ".md", ".html", ".js", ".css", ""}

# What is no longer said, and what is said instead.
WORDS = {
    r"plain way": "baseline implementation",
    r"\breads? (right|wrongly)\b|\b(right|wrong) readings?\b": "accuracy, predicted",
    r"\breadings\b": "predictions",
    r"\bcode[ _-]?readers?\b": "face encoder",
    r"\bmade (faces|images)\b": "synthetic or generated faces",
    r"\bgame\b|\bplayers?\b": "adversarial training, networks",
    r"\bverdicts?\b": "discriminator output",
    r"\bcritics?\b": "discriminator",
    r"\bRecipes?\b": "config",
    r"\bKEPT\b": "EMA decay",
    r"\bown points?\b": "code of the face, encoded",
    r"\bmiddles\b": "centre crop",
    r"\bother[ _-]light\b": "photometric augmentation",
    r"\bis_writer\b|\bone_first\b|\btake_the_writers\b|\bthe writer's?\b": "main process",
    r"\bof_all\b": "all_reduce, gather",
    r"\bend_saying\b|\bterminable\b": "exit handler",
    r"\bmisfits?\b": "state-dict mismatch",
    r"\bwrite_whole\b": "atomic_write",
    r"\bleft-overs?\b": "stale temporary files",
    r"\bstretch(es)?\b": "chunk",
    r"\bhow-manieth\b": "index",
    r"\bit says\b|\bsays so\b|\bsay so\b": "log, message, or a plain verb",
    r"\bthe house\b|\bdoors\b": "layout, entry points",
    r"\bfeathers?\b": "blending mask",
    r"\bsomebody\b|\bwhoever\b": "who exactly",
}
# Where a former word stands for good: flags that keep working under their old names, titles, quotations.
ALLOWED = {
    r"\bcritics?\b": ('"critic"', '"critic_genuine"', '"critic_adam"'),  # in files of earlier versions
    r"\bother[ _-]light\b": ("--other_light", '"other_light"'),
    r"\bstretch(es)?\b": ("align-self: stretch",),
}


def texts() -> list[Path]:
    paths = [path for place in PLACES for path in ROOT.glob(place)]
    files = [path for top in paths for path in ([top] if top.is_file() else sorted(top.rglob("*")))]
    return [path for path in files if path.is_file() and path.suffix in SUFFIXES and "__pycache__" not in path.parts]


@pytest.mark.parametrize("word", WORDS)
def test_former_words_are_gone(word):
    found = []
    for path in texts():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            for quoted in ALLOWED.get(word, ()):
                line = line.replace(quoted, "")
            if re.search(word, line, 0 if word[2:3].isupper() else re.IGNORECASE):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not found, f"the field says: {WORDS[word]}\n" + "\n".join(found)
