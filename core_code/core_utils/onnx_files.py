"""Modules as ONNX files of any batch size, with metadata, compared with PyTorch before they are written."""

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core_code.core_utils.errors import InputError
from core_code.core_utils.files import atomic_write, check_writable

OPSET = 20  # the first with bicubic sampling at points, which generators may use
BATCH = "batch"
SMALLEST_STORED = 64  # values; smaller tensors stay in float32


def load_onnx() -> tuple[Any, Any]:
    """The modules onnx and onnxruntime. Raises InputError where one is missing."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise InputError(f"{error.name} is missing, which ONNX files need: pip install onnx onnxruntime") from error
    return onnx, onnxruntime


def export_onnx(
    path: Path, module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str],
    metadata: Mapping[str, object], tolerance: float, float16: bool = False,
) -> float:  # fmt: skip
    """Write a module in evaluation mode as an ONNX file of any batch size, and compare both.

    inputs: of its forward by name, float or uint8 [B,...] with B of 2 or more, on the CPU. outputs: names of the
    tensors [B,...] that it returns. metadata: plain values, written as JSON into the file. float16: weights are stored
    in half the size, and computed with in float32. onnxruntime computes the whole batch and its first row; returns the
    largest difference from PyTorch's outputs. Raises InputError, and writes nothing, where it is above `tolerance`,
    where onnx or onnxruntime is missing, and for a file that cannot be written or does not end in .onnx: it could take
    the place of a checkpoint or a picture.
    """
    if path.suffix != ".onnx":
        raise InputError(f"{path}: unknown ending {path.suffix!r}, expected .onnx")
    check_writable(path)
    onnx, onnxruntime = load_onnx()
    with warnings.catch_warnings(action="ignore"):  # of tracing, and that this exporter is the older one
        content: Any = io.BytesIO()
        # dynamo=True takes ten times as long and writes the same
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), content, dynamo=False, opset_version=OPSET,
            input_names=list(inputs), output_names=list(outputs),
            dynamic_axes={name: {0: BATCH} for name in (*inputs, *outputs)},
        )  # fmt: skip
    model = onnx.load_from_string(content.getvalue())
    give_each_its_own(model)
    if float16:
        store_in_float16(onnx, model)
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    serialised = model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(serialised, options, providers=["CPUExecutionProvider"])
    some = ({name: x[:rows] for name, x in inputs.items()} for rows in (None, 1))
    difference = max(largest_difference(module, session, each) for each in some)
    if not difference <= tolerance:
        raise InputError(f"{path}: onnxruntime's outputs differ from PyTorch's by {difference:g}, not written")
    atomic_write(path, lambda file: file.write(serialised))
    return difference


def give_each_its_own(model: Any) -> None:
    """Copy weights that the exporter has found equal and made one, with Identity nodes to the others' names:
    onnxruntime loses some of these."""
    weights = {weight.name: weight for weight in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "Identity" and node.input[0] in weights]:
        copy = model.graph.initializer.add()
        copy.CopyFrom(weights[node.input[0]])
        copy.name = node.output[0]
        model.graph.node.remove(node)


def store_in_float16(onnx: Any, model: Any) -> None:
    """Replace the weights of a model by float16 ones, each with a node that casts it to float32 when it is loaded."""
    casts = []
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size >= SMALLEST_STORED:
            name = weight.name
            weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_float16"))
            casts.append(onnx.helper.make_node("Cast", [weight.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


@torch.no_grad()
def largest_difference(module: nn.Module, session: Any, inputs: Mapping[str, Tensor]) -> float:
    """Between the outputs of a module and of its ONNX session."""
    expected = module(*inputs.values())
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    pairs = zip(found, [expected] if isinstance(expected, Tensor) else expected, strict=True)
    return max(float(np.abs(one.astype(np.float64) - other.double().numpy()).max()) for one, other in pairs)
