"""Weights out of files, checked before they are used: the file before torch reads it, its tensors before a net or an
optimizer takes them."""

import io
import math
import re
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import torch
from torch import Tensor

from core_code.core_utils.archives import check_zip
from core_code.core_utils.pickles import light_opcodes

# What tensors and plain values are pickled as. With weights_only=True torch.load runs no code of a file, but calls
# more than this for it, such as bytearray(10**12).
NAMES = re.compile(
    r"collections (OrderedDict|defaultdict|Counter)|torch \w+Storage|torch (Size|device|bool|(b?float|u?int)\d+)"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|tensor_v3|parameter)|torch\.nn\.parameter Parameter|_codecs encode"
)
ZIP, OLD_PICKLES = b"PK\x03\x04", 5  # how files of torch >= 1.6 begin; how many pickles older ones begin with
# Names that a state dict is saved under in a larger dict, and what wrappers put before every name of one.
WRAPPERS = ("net", "state_dict", "model", "model_state_dict")
PREFIXES = ("module.", "model.", "net.")
COMPILED = "_orig_mod."  # of torch.compile, before the name of every module that was compiled
SCALE = ".scale"  # after the name of a tensor in 8 bits: what its channels are multiplied by
LEVELS = 127
COUNTER = "num_batches_tracked"  # of batch norms; files of before torch 0.4.1 have none
FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
SLOTS = {torch.optim.Adam: ("step", "exp_avg", "exp_avg_sq"), torch.optim.SGD: ("momentum_buffer",)}


def check_file(file: BinaryIO) -> None:
    """Raise an error of any kind where a file of torch.save is not as it was written, or asks for more than NAMES.

    torch compares no checksums, unpacks what is compressed, however large, and calls what it takes for harmless.
    """
    if file.read(len(ZIP)) != ZIP:
        file.seek(0)
        for _ in range(OLD_PICKLES):
            check_names(file)
        return
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("torch.save compresses nothing")
        check_zip(file, archive)
        for entry in entries:
            content = archive.read(entry)  # a wrong checksum raises
            if entry.filename.lower().endswith(".pkl"):
                check_names(io.BytesIO(content))


def check_names(file: BinaryIO) -> None:
    """Raise ValueError for a pickle that names more than NAMES, holds tuples within tuples without end, or is none."""
    for opcode, argument in light_opcodes(file):
        if opcode in ("GLOBAL", "INST") and not NAMES.fullmatch(str(argument)):
            raise ValueError(f"it asks for {str(argument)[:100]!r}")


def unwrapped(state: Mapping[Any, Any]) -> dict[str, Any]:
    """A state dict out of the dicts that it is wrapped in (WRAPPERS), without what DataParallel, torch.compile and the
    like put before every name. Names that are no texts are left out."""
    for _ in WRAPPERS:  # not without end: a dict of a file may hold itself
        state = next((state[name] for name in WRAPPERS if isinstance(state.get(name), dict)), state)
    state = {name.replace(COMPILED, ""): value for name, value in state.items() if isinstance(name, str)}
    while state and (prefix := next((each for each in PREFIXES if all(n.startswith(each) for n in state)), "")):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def with_counters(state: Mapping[str, Any], own: Mapping[str, Tensor]) -> dict[str, Any]:
    """The state dict with 0 for each batch norm's counter that `own` has and it has not."""
    missing = [name for name in own if name.endswith(f".{COUNTER}") and name not in state]
    return {**state, **{name: torch.zeros_like(own[name], device="cpu") for name in missing}}


def quantised(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict in 8 bits: each float tensor of two dimensions and more as int8, and beside it, under its name and
    `.scale`, a float32 for each output channel [C]: the channel's largest absolute value / 127. The rest stays."""
    stored: dict[str, Tensor] = {}
    for name, value in state.items():
        if not value.is_floating_point() or value.dim() < 2:
            stored[name] = value
            continue
        scale = value.float().flatten(1).abs().amax(1) / LEVELS
        levels = value.float() / along(scale, value).clamp_min(torch.finfo(torch.float32).tiny)
        stored |= {name: levels.round().to(torch.int8), name + SCALE: scale}
    return stored


def dequantised(state: Mapping[str, Any], own: Mapping[str, Tensor]) -> dict[str, Any]:
    """A state dict out of a file with its int8 tensors as float32, where they and their scales fit those of `own`; what
    does not fit stays as it is, for state_dict_mismatch to find."""
    found = dict(state)
    for name, expected in own.items():
        value, scale = found.get(name), found.get(name + SCALE)
        if not isinstance(value, Tensor) or not isinstance(scale, Tensor) or value.dtype != torch.int8:
            continue
        if value.shape == expected.shape and scale.shape == expected.shape[:1] and scale.dtype in FLOATS:
            found[name] = value.float() * along(found.pop(name + SCALE).float(), value)
    return found


def along(scale: Tensor, value: Tensor) -> Tensor:
    """A number for each output channel [C], in a shape that multiplies `value` [C,...]."""
    return scale.view(-1, *[1] * (value.dim() - 1))


def state_dict_mismatch(state: Any, own: Mapping[str, Tensor]) -> str:
    """What is wrong with a state dict out of a file for a net whose own is `own`, in a few words; empty: nothing.

    Names and shapes must be the same, and all values finite numbers; floats may be of another width.
    """
    if not isinstance(state, dict):
        return f"{type(state).__name__}, expected a dict of tensors"
    for name, expected in own.items():
        if name not in state:
            return f"{name} is missing"
        found = state[name]
        if not isinstance(found, Tensor):
            return f"{name} is of type {type(found).__name__}, expected a tensor"
        if found.shape != expected.shape:
            return f"{name} is {list(found.shape)}, expected {list(expected.shape)}"
        if found.dtype != expected.dtype and not {found.dtype, expected.dtype} <= FLOATS:
            return f"{name} is of {found.dtype}, expected {expected.dtype}"
        if not found.to(expected.dtype).isfinite().all():
            return f"{name} holds values that are not finite numbers"
    for name in state:
        if name not in own:
            return f"{name[:100]} is not part of it" if isinstance(name, str) else "a name is no text"
    return ""


def load_optimizer(optimizer: torch.optim.Optimizer, saved: Any) -> None:
    """Go on with the learning rates and the state in `saved`, an optimizer's state dict out of a file.

    All other settings stay the optimizer's own; parameters that have had no gradient yet have no state. Raises
    ValueError where it does not fit.
    """
    own = optimizer.state_dict()["param_groups"]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    groups = saved.get("param_groups") if isinstance(saved, dict) else None
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise ValueError("it is no optimizer's state")
    state, rates, places = saved.get("state"), *([group.get(name) for group in groups] for name in ("lr", "params"))
    numbered = all(isinstance(group, list) and all(isinstance(place, int) for place in group) for group in places)
    if not numbered or places != [group["params"] for group in own]:
        raise ValueError("it is of other parameters")
    if not all(isinstance(rate, float) and math.isfinite(rate) and rate >= 0 for rate in rates):
        raise ValueError("a learning rate is no number of 0 or more")
    if not isinstance(state, dict) or not all(isinstance(place, int) for place in state):
        raise ValueError("its state is no dict of parameters' numbers")
    for place, slots in state.items():
        if not 0 <= place < len(parameters):
            raise ValueError("it is of other parameters")
        shapes = {name: parameters[place] if name != "step" else torch.zeros(()) for name in SLOTS[type(optimizer)]}
        if wrong := state_dict_mismatch(slots, shapes):
            raise ValueError(f"of parameter {place}: {wrong}")
    # copies: tensors of a file may share memory with each other, or within themselves
    state = {place: {name: slot.detach().clone() for name, slot in slots.items()} for place, slots in state.items()}
    groups = [{**group, "lr": rate} for group, rate in zip(own, rates, strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
