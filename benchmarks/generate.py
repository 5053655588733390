"""Generated images per second, from the faces to the PNGs on disk, beside a baseline implementation.

    python benchmarks/generate.py --ganmut True            # the published architecture, 128 px, random weights
    python benchmarks/generate.py                          # the generator that ships, or --generator FOLDER

ours: what create_augmentations.py does, ten images a face; compiled: the same with --compile True. baseline: one image
at a time through PIL and GANmut's layers at the same size, float32. All take turns in the same process; medians of the
rounds. Prints one JSON object.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from PIL import Image
from torch import nn
from torchvision.transforms.functional import to_pil_image, to_tensor

from benchmarks.measuring import make_parser, print_speeds, seconds
from core_code.core_utils import flags
from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.errors import run_command
from core_code.core_utils.memory import keep_freed_memory
from core_code.datasets.augmentations.compiling import compile_editor
from core_code.datasets.augmentations.make import generate_images
from core_code.datasets.augmentations.plan import Settings
from core_code.datasets.fer2013 import FER2013
from EmotionGAN.conditional_space import ConditionalSpace
from EmotionGAN.editor import Editor
from EmotionGAN.networks import generator as gan

NUM_AUGMENTS = 10
IMPLEMENTATIONS = ("ours", "baseline", "compiled")


def make_editor(args: argparse.Namespace) -> Editor:
    """The generator of the flags, or GANmut's architecture with random weights, which compute in the same time."""
    device, dtype = pick_hardware(args.device, args.precision)
    if not args.ganmut:
        return Editor.load(args.generator, device, dtype)
    torch.manual_seed(args.seed)
    generator = gan.accelerate_generator(gan.build_generator(gan.GeneratorConfig())).eval().requires_grad_(False)
    generator = generator.to(device, memory_format=torch.channels_last)
    return Editor(generator, ConditionalSpace.published(), device, dtype, "ganmut", "random")


def our_steps(faces: FER2013, args: argparse.Namespace, editor: Editor) -> Iterator[int]:
    """Endless generation of the images of the first faces; yields how many."""
    settings = Settings(num_augments=NUM_AUGMENTS, batch_size=args.batch_size)
    while True:
        with tempfile.TemporaryDirectory() as folder:
            yield generate_images(settings, faces, min(args.faces, len(faces)), editor, Path(folder)).generated


def baseline_generator(size: int) -> gan.Generator:
    """GANmut's layers as they are usually written, with torch's instance norms."""
    generator = gan.build_generator(gan.GeneratorConfig(image_size=size))
    for layers in [module for module in generator.modules() if isinstance(module, gan.Layers)]:
        for i, layer in enumerate(layers):
            if isinstance(layer, gan.InstanceNorm):
                layers[i] = nn.InstanceNorm2d(layer.num_features, affine=True)
    return generator.eval()


@torch.no_grad()
def baseline_steps(faces: FER2013, size: int, device: torch.device) -> Iterator[int]:
    """Endless generation, one face a step; yields its images."""
    generator = baseline_generator(size).to(device)
    with tempfile.TemporaryDirectory() as folder:
        for row in itertools.cycle(range(len(faces))):
            for k in range(NUM_AUGMENTS):
                face = Image.fromarray(faces.faces[row].numpy()).convert("RGB").resize((size, size))
                code = torch.rand(1, 2) * 2 - 1
                image, _, _ = generator(to_tensor(face)[None].to(device) * 2 - 1, code.to(device))
                grey = to_pil_image(((image[0] + 1) / 2).cpu()).convert("L").resize((48, 48))
                grey.save(Path(folder) / f"{row}_{k}.png")
            yield NUM_AUGMENTS


def main() -> None:
    parser = make_parser(__doc__, IMPLEMENTATIONS, net=False)
    flags.add_boolean(parser, "--ganmut", False, "GANmut's architecture, 128 px, with random weights")
    parser.add_argument("--faces", type=flags.count, default=128, help="of a step, ten images each")
    parser.add_argument("--batch_size", type=flags.count, default=256)
    flags.add_generator_flag(parser)
    args = parser.parse_args()
    editor = make_editor(args)
    if editor.device.type == "cpu":
        keep_freed_memory()
    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    facts = {"generator": editor.name, "image_size": editor.image_size, "batch_size": args.batch_size}
    implementations = {
        "ours": lambda: our_steps(faces, args, editor),
        "baseline": lambda: baseline_steps(faces, editor.image_size, editor.device),
    }
    if not args.only or "compiled" in args.only:
        compiled: list[Editor] = []
        took = seconds(lambda: compiled.append(compile_editor(editor, args.batch_size)))
        facts["compile_s"] = round(took, 1)
        implementations["compiled"] = lambda: our_steps(faces, args, compiled[0])
    print_speeds(implementations, args, "images", editor.device, editor.dtype, **facts)


if __name__ == "__main__":
    run_command(main)
