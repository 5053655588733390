"""What a generator is, beside its weights: a checked config, as a folder's config.json holds it."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from core_code.core_utils.emotions import AFFECTNET_EMOTIONS, EMOTIONS
from core_code.core_utils.errors import InputError, shown
from EmotionGAN.networks.warp import Paint

CHOICES = {
    "parametrisation": ("gaussian", "linear"), "colours": ("grey", "RGB", "BGR"), "framing": ("fer2013", "dlib"),
    "output": ("plain", "warp", "overlay"), "codes": ("maps", "norms"),
}  # fmt: skip
LARGEST = {"image_size": 1024, "width": 512, "blocks": 64}
LARGEST_PAINT = {"paint_blur": 4, "paint_highpass": 5, "paint_gain": 4}
PAINT = (*LARGEST_PAINT, "paint_soft")  # left out of files where they are the defaults


@dataclass(frozen=True)
class GeneratorConfig:
    """What a generator is, beside its weights; the defaults are those of the published gaussian checkpoint, but for
    the order of its emotions (see `published`).

    colours: order of the input's channels (grey: one channel).
    framing: how its training faces were cut, `fer2013` (as FER2013's 48x48 faces) or `dlib` (the box of dlib's frontal
    detector).
    output: `plain` (GANmut: the network outputs the whole face), `warp` (it moves the face's pixels and paints over
    some of them, see warp.py) or `overlay` (it outputs what is added to the face and to a statistical overlay of the
    emotion, see overlay.py; version 0.1's).
    codes: how a code enters, as `maps` (GANmut: two constant channels beside the image's) or through the `norms`,
    whose scale and shift depend on it (Dumoulin et al., "A Learned Representation for Artistic Style", ICLR 2017). The
    first instance norm subtracts what a constant channel adds, except near the borders, so that a generator with maps
    sees its codes there alone.
    emotions: the order in which the weights number the emotions.
    paint_blur, paint_highpass, paint_gain, paint_soft: of `warp` alone, see `Paint`.
    """

    parametrisation: str = "gaussian"
    image_size: int = 128
    colours: str = "BGR"
    width: int = 64
    blocks: int = 6
    output: str = "plain"
    codes: str = "maps"
    framing: str = "dlib"
    emotions: tuple[str, ...] = EMOTIONS
    paint_blur: float = 0.0
    paint_highpass: float = 0.0
    paint_gain: float = 1.0
    paint_soft: bool = False

    @property
    def channels(self) -> int:
        return 1 if self.colours == "grey" else 3

    @property
    def paint(self) -> Paint:
        return Paint(self.paint_blur, self.paint_highpass, self.paint_gain, self.paint_soft)

    @classmethod
    def published(cls, parametrisation: str) -> "GeneratorConfig":
        """The config of a checkpoint that GANmut published: trained on AffectNet, in the order of its labels."""
        return cls(parametrisation, emotions=AFFECTNET_EMOTIONS)

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str) -> "GeneratorConfig":
        """Check a config read from a file. Raises InputError naming `where` and the value that is wrong."""
        known = {field.name for field in fields(cls)}
        values = {name: getattr(cls, name) for name in PAINT} | values
        if missing := known - values.keys():
            raise InputError(f"{where}: the generator's config lacks {', '.join(sorted(missing))}")
        chosen = {name: values[name] for name in known}
        for name, allowed in CHOICES.items():
            if chosen[name] not in allowed:
                raise InputError(f"{where}: {name} is {shown(chosen[name])}, expected one of {', '.join(allowed)}")
        for name, largest in LARGEST.items():
            if type(chosen[name]) is not int or not 1 <= chosen[name] <= largest:
                raise InputError(
                    f"{where}: {name} is {shown(chosen[name])}, expected a whole number from 1 to {largest}"
                )
        for name, largest in LARGEST_PAINT.items():
            value = chosen[name]
            if type(value) not in (int, float) or not 0 <= value <= largest:
                raise InputError(f"{where}: {name} is {shown(value)}, expected a number from 0 to {largest}")
        if type(chosen["paint_soft"]) is not bool:
            raise InputError(f"{where}: paint_soft is {shown(chosen['paint_soft'])}, expected true or false")
        given = [name for name in PAINT if chosen[name] != vars(cls)[name]]
        if given and chosen["output"] != "warp":
            raise InputError(f"{where}: {given[0]} is a setting of output warp, and output is {chosen['output']}")
        if chosen["image_size"] % 16:
            raise InputError(f"{where}: image_size is {chosen['image_size']}, expected a multiple of 16")
        emotions = chosen["emotions"]
        if not isinstance(emotions, (list, tuple)) or sorted(map(str, emotions)) != sorted(EMOTIONS):
            raise InputError(f"{where}: emotions are {shown(emotions)}, expected {', '.join(EMOTIONS)} in any order")
        return cls(**(chosen | {"emotions": tuple(emotions)}))

    def to_dict(self) -> dict[str, Any]:
        """What a file holds; settings of the paint only where they are not the defaults."""
        values = asdict(self) | {"emotions": list(self.emotions)}
        return {
            name: value for name, value in values.items() if name not in PAINT or value != vars(GeneratorConfig)[name]
        }
