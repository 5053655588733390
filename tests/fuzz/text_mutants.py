"""Texts, damaged: configs of a generator and its encoder, manifests of generated images, logs, caches' headers."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from augmentation_stand_ins import TinyEditor, make
from family import Family, Mutant
from mutations import DAMAGES, ODD_VALUES, TREES, Random, nested
from small_faces import small_rows, write_csv

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import read_json
from core_code.datasets.augmentations.store import load_images
from core_code.datasets.cache import HEADER_BYTES
from core_code.datasets.fer2013 import FER2013
from core_code.evaluation.curves import draw_logs, read_log
from core_code.training.settings import data_provenance
from EmotionGAN.editor import Editor, save_generator
from EmotionGAN.networks.config import GeneratorConfig
from EmotionGAN.networks.discriminator import Discriminator
from EmotionGAN.networks.face_encoder import save_face_encoder
from EmotionGAN.networks.generator import build_generator

TEXTS = {
    "deep nesting": lambda text, rng: "[" * rng.choice((500, 100_000)) + text,
    "deep object": lambda text, rng: '{"a":' * 100_000,
    "not finite": lambda text, rng: text.replace("1", rng.choice(("NaN", "Infinity", "-Infinity", "1e999")), 1),
    "huge number": lambda text, rng: text.replace("1", "1" + "0" * rng.choice((30, 4000, 5000)), 1),
    "another top": lambda text, rng: json.dumps(rng.choice([v for v in ODD_VALUES if v != ODD_VALUES[12]])),
    "a key twice": lambda text, rng: text.replace("{", '{"format": 7, "seed": "x", "image_size": -16, ', 1),
    "encoding": lambda text, rng: text.encode(rng.choice(("utf-16", "utf-8-sig", "utf-32"))).decode("latin-1"),
    "nested value": lambda text, rng: json.dumps(json.loads(text) | {"command": nested(400), "emotions": nested(90)}),
}
JSON_KINDS = (*TREES, *TEXTS, *DAMAGES)


def damaged_json(sound: dict, kind: str, rng: Random) -> bytes:
    """A JSON file of `sound`, damaged as a tree, as a text or as bytes."""
    if kind in TREES:
        changed = TREES[kind](sound, rng)
        try:
            return json.dumps(changed).encode("utf-8", "surrogatepass")
        except ValueError:  # Python itself does not write integers of more than 4300 digits
            return json.dumps(changed, default=str).encode()
    text = json.dumps(sound, indent=2)
    if kind in TEXTS:
        return TEXTS[kind](text, rng).encode("latin-1" if kind == "encoding" else "utf-8")
    return DAMAGES[kind](text.encode(), rng)


@cache
def sound_generator() -> dict[str, bytes]:
    """The files of a tiny generator with its encoder of faces."""
    import tempfile

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        config = GeneratorConfig(image_size=16, colours="grey", width=4, blocks=1, framing="fer2013", codes="norms",
                                 output="overlay")  # fmt: skip
        save_generator(Path(name), build_generator(config))
        save_face_encoder(Path(name), Discriminator(16, 1, 4, 2))
        return {path.name: path.read_bytes() for path in Path(name).iterdir()}


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write them all; names may have folders."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


CONFIGS = {
    "wide": {"width": 512, "blocks": 64},
    "large": {"image_size": 1024},
    "other codes": {"codes": "maps"},
    "plain": {"output": "plain"},
    "linear": {"parametrisation": "linear"},
    "colours": {"colours": "RGB"},
}


def mutate_config(folder: Path, kind: str, rng: Random) -> Mutant:
    """A generator's folder with a damaged config.json (or face_encoder.json)."""
    files = dict(sound_generator())
    write_files(folder, files)
    name = "config.json" if kind in CONFIGS else rng.choice(("config.json", "config.json", "face_encoder.json"))
    sound = json.loads(files[name])
    content = json.dumps(sound | CONFIGS[kind]).encode() if kind in CONFIGS else damaged_json(sound, kind, rng)
    (folder / name).write_bytes(content)
    # a config that is sound in itself may not be that of the weights, which are then named
    return Mutant(folder, refused=kind in CONFIGS, may_write=())


def read_generator(mutant: Mutant) -> None:
    """Load it, edit two faces, encode them."""
    editor = Editor.load(mutant.path, torch.device("cpu"))
    faces = torch.arange(2 * 48 * 48).remainder(251).byte().view(2, 48, 48)
    edited = editor.edit(faces, torch.zeros(2, 2))
    assert edited.shape == (2, 48, 48) and edited.dtype == torch.uint8
    assert editor.face_encoder is None or editor.encode_faces(faces[:1]).isfinite().all()
    assert torch.isfinite(editor.space.centres).all() and editor.space.centres.abs().max() <= 1


@cache
def training_faces() -> FER2013:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        write_csv(Path(name) / "icml_face_data.csv", small_rows(train=7, val=1, test=1))
        faces = FER2013(Path(name), "train")
        faces.faces = faces.faces.clone()
        return faces


@cache
def sound_images() -> dict[str, bytes]:
    """A folder of augmentations of the training faces."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        make(Path(name), training_faces(), TinyEditor(), num_augments=1, folder_batch_size=2)
        files = [path for path in Path(name).rglob("*") if path.is_file() and path.name != ".lock"]
        return {str(path.relative_to(name)): path.read_bytes() for path in files}


def mutate_manifest(folder: Path, kind: str, rng: Random) -> Mutant:
    """A folder of augmentations with a damaged manifest."""
    files = dict(sound_images())
    sound = json.loads(files["manifest.json"])
    write_files(folder, files | {"manifest.json": damaged_json(sound, kind, rng)})
    return Mutant(folder, whole_cache="packed_images.cache")


def read_manifest_and_images(mutant: Mutant) -> None:
    """Read the images for training, and what the checkpoint says of them."""
    pack = load_images(mutant.path, "augmentations", training_faces())
    assert len(pack.images) <= 7 and pack.images.shape[1:] == (48, 48)
    origin = data_provenance(training_faces(), mutant.path)
    assert all(
        isinstance(value, (str, int, float, type(None))) and len(str(value)) < 10_000 for value in origin.values()
    )


def mutate_half_made(folder: Path, kind: str, rng: Random) -> Mutant:
    """The same, to be gone on with: images of one face are missing."""
    mutant = mutate_manifest(folder, kind, rng)
    for path in (folder / "1").glob("1_*.png"):
        path.unlink()
    return Mutant(mutant.path, may_write=("manifest.json", ".png", ".lock"))


def go_on_making(mutant: Mutant) -> None:
    """Start create_augmentations again: it goes on, or refuses and leaves the images alone."""
    before = {path: path.read_bytes() for path in mutant.path.rglob("*.png")}
    manifest = (mutant.path / "manifest.json").read_bytes()
    try:
        made = make(mutant.path, training_faces(), TinyEditor(), num_augments=1, folder_batch_size=2)
    except InputError:
        (mutant.path / ".lock").unlink()  # stays, as the program's lock of the folder
        assert (mutant.path / "manifest.json").read_bytes() == manifest
        assert before == {path: path.read_bytes() for path in mutant.path.rglob("*.png")}
        raise
    assert made.found == 6 and len(list(mutant.path.rglob("*.png"))) == 7
    assert read_json(mutant.path / "manifest.json")["complete"] is True


HEAD = "batch_size: 128\nnet_name: resnet18\nexp_name: E\nEmotionNet(\n  (conv1): Conv2d(3, 64)\n)\n"
CLASSIFIER = "epoch {0}/9  loss 1.{0}000  validation accuracy 3{0}.25%  lr 1.2e-05  time 1.0 s\n"
BYOL = "epoch {0}/9  loss -1.5  validation loss -1.{0}  feature spread 0.4  projection spread 0.3  lr 0.1  time 1.0 s\n"
ODD_NUMBERS = ("9" * 400, "9" * 5000, "-1", "0", "nan", "inf", "1e308", "-1e308", "1e-320", "٣", "²", "1_0", "0x1", "",
               "1" + "0" * 19, "1e400", "1,5", "99999999")  # fmt: skip


def damaged_log(kind: str, rng: Random) -> bytes:
    """A log of six epochs, damaged."""
    epoch = rng.choice((CLASSIFIER, BYOL))
    lines = (HEAD + "".join(epoch.format(number) for number in range(1, 7))).splitlines()
    if kind == "numbers":
        at = rng.randrange(6, len(lines))
        words = lines[at].split(" ")
        place = rng.choice([place for place, word in enumerate(words) if word[-1:].isdigit() or word.endswith("%")])
        odd = rng.choice(ODD_NUMBERS)
        words[place] = rng.choice((odd, f"{odd}%", f"{odd}/9", f"1/{odd}", f"{odd}/{odd}"))
        lines[at] = " ".join(words)
    elif kind == "epoch alone":
        odd = rng.choice(ODD_NUMBERS)
        lines[6:] = [epoch.format(1).replace("1/9", rng.choice((f"{odd}/{odd}", f"1/{odd}")))]
    elif kind == "lines":
        rng.shuffle(lines)
    elif kind == "a line twice":
        at = rng.randrange(len(lines))
        lines[at:at] = lines[at : at + rng.choice((1, 3))]
    elif kind == "a line missing":
        del lines[rng.randrange(len(lines))]
    elif kind == "names":
        odd = rng.choice(
            ("../../etc/passwd", "a b", "", "x" * 5000, "٣", "a\u2028b", ".hidden", "\x1b[2J", "nul\0", "CON")
        )
        lines[rng.choice((1, 2))] = f"{rng.choice(('net_name', 'exp_name'))}: {odd}"
    elif kind == "a figure twice":
        lines[-1] += "  " + rng.choice(("epoch 5", "epoch 2.5", "loss 7", "validation accuracy 1.00%", "x 1", "lr"))
    elif kind == "a very long line":
        lines[rng.randrange(len(lines))] += rng.choice(("x", " a", "  a 1", "1")) * 300_000
    text = "\n".join(lines) + "\n"
    if kind == "encoding":
        return text.encode(rng.choice(("utf-16", "utf-8-sig", "utf-32", "cp037")))
    return DAMAGES[kind](text.encode(), rng) if kind in DAMAGES else text.encode("utf-8", "surrogatepass")


LOG_KINDS = ("numbers", "lines", "a line twice", "a line missing", "names", "a figure twice", "a very long line",
             "epoch alone", "encoding", *DAMAGES, "numbers", "epoch alone")  # fmt: skip


def mutate_log(folder: Path, kind: str, rng: Random) -> Mutant:
    path = folder / "training.log"
    path.write_bytes(damaged_log(kind, rng))
    return Mutant(path, may_write=(".png",))


def read_one_log(mutant: Mutant) -> None:
    """Read it; an error about a line names the line."""
    try:
        run, records = read_log(mutant.path)
    except InputError as error:
        assert ", line " in str(error) or "no finished epoch" in str(error), f"no line is named: {error}"
        raise
    assert [record["epoch"] for record in records] == list(range(1, len(records) + 1)) or records[0]["epoch"] > 1
    assert all(np.isfinite(list(record.values())).all() for record in records) and all(run[:2])


def draw_one_log(mutant: Mutant) -> None:
    """Draw its curves."""
    pictures = draw_logs([mutant.path], mutant.path.parent)
    assert pictures and all(path.is_file() for path in pictures)


def mutate_cache(folder: Path, kind: str, rng: Random) -> Mutant:
    """The CSV's cache or the packed images', damaged: both are made again, or still say the truth."""
    write_csv(folder / "icml_face_data.csv", small_rows(train=7, val=1, test=1))
    write_files(folder, sound_images())
    read_both(folder)
    name = rng.choice(("icml_face_data.cache", "packed_images.cache"))
    content = (folder / name).read_bytes()
    if kind in TREES:
        header = damaged_json(json.loads(content[:HEADER_BYTES]), kind, rng)
        (folder / name).write_bytes(header.ljust(HEADER_BYTES)[: 2 * HEADER_BYTES] + content[HEADER_BYTES:])
    else:
        (folder / name).write_bytes(DAMAGES[kind](content, rng))
    return Mutant(folder)


def read_both(folder: Path) -> tuple[FER2013, bytes]:
    """The faces and the images, by their caches."""
    train = FER2013(folder, "train")
    return train, load_images(folder, "augmentations", train).images.tobytes()


@cache
def sound_pixels() -> list[bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        write_csv(Path(name) / "icml_face_data.csv", small_rows(train=7, val=1, test=1))
        write_files(Path(name), sound_images())
        train, images = read_both(Path(name))
        return [train.faces.numpy().tobytes(), train.labels.numpy().tobytes(), images]


def read_caches(mutant: Mutant) -> None:
    """What is read is what would be read without any cache."""
    train, images = read_both(mutant.path)
    assert [train.faces.numpy().tobytes(), train.labels.numpy().tobytes(), images] == sound_pixels()


FAMILIES = (
    Family("config", (*CONFIGS, *JSON_KINDS), mutate_config, read_generator),
    Family("manifest", JSON_KINDS, mutate_manifest, read_manifest_and_images),
    Family("half_made", JSON_KINDS, mutate_half_made, go_on_making),
    Family("log", LOG_KINDS, mutate_log, read_one_log),
    Family("drawn_log", ("epoch alone", "numbers"), mutate_log, draw_one_log),
    Family("cache", (*TREES, *DAMAGES), mutate_cache, read_caches),
)
