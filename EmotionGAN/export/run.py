"""A generator as an ONNX file."""

from pathlib import Path

import torch
from torch import Tensor, nn

from core_code.core_utils.onnx_files import export_onnx
from EmotionGAN.editor import DEFAULT_GENERATOR, load_generator
from EmotionGAN.networks.generator import Generator

TOLERANCE, TOLERANCE_FLOAT16 = 1.0, 8.0  # grey levels; 1 is a value that is rounded to the other side
COMPARED = 4  # faces


class FacesToFaces(nn.Module):
    """From faces, uint8 [B,S,S] (grey) or [B,S,S,3] (RGB), and codes, float32 [B,2], to edited faces of that form."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, faces: Tensor, codes: Tensor) -> Tensor:
        grey, backwards = faces.ndim == 3, self.generator.config.colours == "BGR"
        images = (faces[:, None] if grey else faces.permute(0, 3, 1, 2)).float() / 127.5 - 1
        images = images.flip(1) if backwards else images
        edited = self.generator(images, codes)[0].float()
        edited = edited.flip(1) if backwards else edited
        levels = ((edited + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return levels[:, 0] if grey else levels.permute(0, 2, 3, 1)


def export_generator(generator: Path | None, path: Path, float16: bool = False) -> str:
    """Write a generator (None: the one shipped) and return what to print about it. Raises InputError as load_generator
    and export_onnx do."""
    net, space = load_generator(generator or DEFAULT_GENERATOR)
    config = net.config
    rng = torch.Generator().manual_seed(1)
    shape = (config.image_size, config.image_size) + (() if config.channels == 1 else (3,))
    faces = torch.randint(0, 256, (COMPARED, *shape), dtype=torch.uint8, generator=rng)
    codes = 2 * torch.rand(COMPARED, 2, generator=rng) - 1
    metadata = {
        "emotions": space.emotions, "codes": [[round(value, 6) for value in code] for code in space.centres.tolist()],
        "size": config.image_size, "range_of_codes": [-1, 1], "framing": config.framing,
        "input": f"faces: {'grey' if config.channels == 1 else 'RGB'}, uint8, 0 to 255; codes: float32",
    }  # fmt: skip
    tolerance = TOLERANCE_FLOAT16 if float16 else TOLERANCE
    module = FacesToFaces(net.requires_grad_(False))
    difference = export_onnx(path, module, {"faces": faces, "codes": codes}, ("edited",), metadata, tolerance, float16)
    written = f"{path}: {path.stat().st_size / 1e6:.1f} MB, faces uint8 [batch, {', '.join(map(str, shape))}]"
    return f"{written}, codes float32 [batch, 2] -> edited; onnxruntime differs by at most {difference:g} grey levels"
