"""OpenVINO: a torch module is converted once, stored, and from then on runs on the CPU without torch."""

import os
import threading
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


class Compiled:
    """A model, ready to run; for any shape of input, or, which is faster for a few tokens, for one. Thread-safe."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - OpenVINO's type
        *,
        shapes: Sequence[tuple[int, ...]] | None = None,
        lanes: int | None = None,
        threads: int = 0,
    ) -> None:
        """model: as read_model returns it; shapes: of its inputs, in order.

        lanes: inferences at a time, which share `threads` (by default one each); None: one on all cores, which is the
        quickest for it alone and takes 1.2 to 1.5 times the processor's time, because cores wait for one another.
        """
        # A clone shares the weights; what was read a second time would be in memory a second time.
        model = model.clone()
        if shapes:
            model.reshape({port: list(shape) for port, shape in zip(model.inputs, shapes, strict=True)})
        # Pinned, the threads of all models, and of all processes, would have the same cores in mind. The precision is
        # the processor's best: bf16 where it has that, at a cosine of 0.9999 to fp32.
        wishes: dict[str, Any] = {"ENABLE_CPU_PINNING": False, "PERFORMANCE_HINT": "LATENCY"}
        if lanes is not None:
            wishes = {"ENABLE_CPU_PINNING": False, "NUM_STREAMS": lanes, "INFERENCE_NUM_THREADS": threads or lanes}
        self._compiled = _core().compile_model(model, "CPU", wishes)
        self._inputs, self._outputs = len(model.inputs), len(model.outputs)
        self._local = threading.local()

    def __call__(self, *inputs: NDArray[np.int64]) -> tuple[NDArray[np.float32], ...]:
        """Return all outputs, in order; they are overwritten by this thread's next call.

        Of more inputs than the model has, it is given the first.
        """
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        request = self._local.request
        request.infer(list(inputs[: self._inputs]), share_inputs=True)
        return tuple(request.get_output_tensor(number).data for number in range(self._outputs))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_model(path: Path) -> Any:  # noqa: ANN401 - OpenVINO's type, and only this file knows OpenVINO
    """Return a stored model, to be compiled for one shape or more."""
    return _core().read_model(path)


def convert(module: "torch.nn.Module", examples: Sequence["torch.Tensor"], path: Path) -> None:
    """Store `module` in `path`, an .xml with a .bin beside it, for inputs of any length. Raises what conversion raises.

    examples: inputs that leave no branch out; a mask without a zero in it would not be in the converted model.
    """
    os.environ["OPENVINO_TELEMETRY_OPTOUT"] = "1"
    import openvino
    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns of branches that do not depend on the input
        converted = openvino.convert_model(module.eval(), example_input=tuple(examples))
    openvino.save_model(converted, path, compress_to_fp16=True)


@cache
def _core() -> Any:  # noqa: ANN401 - OpenVINO's type
    """Return the one OpenVINO runtime of this process; each has threads of its own."""
    # Imported here because it takes a third of a second; its telemetry must be off before that.
    os.environ["OPENVINO_TELEMETRY_OPTOUT"] = "1"
    import openvino

    return openvino.Core()
