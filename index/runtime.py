"""OpenVINO: a torch module is converted once, stored, and from then on runs on the CPU without torch."""

import os
import tempfile
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

Input = NDArray[np.int64]
Output = NDArray[np.float32]
# Of the inputs of a model, in order.
Shapes = Sequence[tuple[int, ...]]
# Held by whoever starts OpenVINO.
_starting = threading.Lock()


class Compiled:
    """A model, ready to run for any shape of input. Thread-safe."""

    def __init__(self, model: Any, *, lanes: int | None = None, threads: int = 0) -> None:  # noqa: ANN401 - OpenVINO's
        """model: as read_model returns it.

        lanes: inferences at a time, which share `threads` (by default one each); None: one on all cores, which is the
        quickest for it alone and takes 1.2 to 1.5 times the processor's time, because cores wait for one another.
        """
        # A clone shares the weights; what was read a second time would be in memory a second time.
        self._compiled = _compile(model.clone(), lanes, threads)
        self._inputs, self._outputs = len(model.inputs), len(model.outputs)
        self._local = threading.local()

    def __call__(self, *inputs: Input) -> tuple[Output, ...]:
        """Return all outputs, in order; they are overwritten by this thread's next call.

        Of more inputs than the model has, it is given the first.
        """
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        request = self._local.request
        request.infer(list(inputs[: self._inputs]), share_inputs=True)
        return tuple(request.get_output_tensor(number).data for number in range(self._outputs))


class Shaped:
    """A model, ready to run for some shapes of input: faster, for a few tokens, than for any. Thread-safe."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - OpenVINO's type
        shapes: Sequence[Shapes],
        *,
        lanes: int | None = None,
    ) -> None:
        """shapes: of the inputs, in order, and of each set of inputs; the last are in no dimension the smaller.

        The first are found quickest. model, lanes: as of Compiled.
        """
        widest = shapes[-1]
        self._shapes = [tuple(map(tuple, some)) for some in shapes]
        self._compiled = _compile(_choice([_bound(model, some, widest) for some in shapes]), lanes, 0)
        self._inputs, self._outputs = len(widest), len(model.outputs)
        self._local = threading.local()

    def __call__(self, *inputs: Input) -> tuple[Output, ...]:
        """Return all outputs, in order; they are overwritten by this thread's next call.

        Of more inputs than the model has, it is given the first. Raises ValueError where they have none of the shapes.
        """
        if not hasattr(self._local, "request"):
            self._local.request = _Request(self._compiled.create_infer_request())
        request: _Request = self._local.request
        inputs = inputs[: self._inputs]
        number = self._shapes.index(tuple(one.shape for one in inputs))
        for one, place in zip(inputs, request.inputs, strict=False):
            place[tuple(map(slice, one.shape))] = one
        if len(self._shapes) > 1:
            request.inputs[-1][...] = number
        request.infer()
        return tuple(request.output(number) for number in range(self._outputs))


class _Request:
    """One thread's inferences. inputs: what is given is written into these; to hand over new ones takes 0.3 ms."""

    def __init__(self, request: Any) -> None:  # noqa: ANN401 - OpenVINO's type
        self._request = request
        self._tensors = [request.get_input_tensor(number) for number in range(len(request.model_inputs))]
        self.inputs: list[Input] = [tensor.data for tensor in self._tensors]

    def infer(self) -> None:
        self._request.infer(share_outputs=True)

    def output(self, number: int) -> Output:
        found: Output = self._request.get_output_tensor(number).data
        return found


def _compile(model: Any, lanes: int | None, threads: int) -> Any:  # noqa: ANN401 - OpenVINO's types
    # Pinned, the threads of all models, and of all processes, would have the same cores in mind. The precision is
    # the processor's best: bf16 where it has that, at a cosine of 0.9999 to fp32.
    wishes: dict[str, Any] = {"ENABLE_CPU_PINNING": False, "PERFORMANCE_HINT": "LATENCY"}
    if lanes is not None:
        wishes = {"ENABLE_CPU_PINNING": False, "NUM_STREAMS": lanes, "INFERENCE_NUM_THREADS": threads or lanes}
    return _core().compile_model(model, "CPU", wishes)


def _bound(model: Any, shapes: Shapes, widest: Shapes) -> Any:  # noqa: ANN401 - OpenVINO's types
    """Return the model for inputs of `shapes`, which it takes from the first places of inputs of the widest."""
    from openvino import opset13 as ops

    model = model.clone()
    model.reshape({port: list(shape) for port, shape in zip(model.inputs, shapes, strict=True)})
    for parameter, shape, room in zip(model.get_parameters(), shapes, widest, strict=True):
        users = list(parameter.output(0).get_target_inputs())
        whole = ops.parameter(list(room), parameter.get_element_type())
        begin, end, step = (ops.constant(np.array(values)) for values in ([0] * len(shape), shape, [1] * len(shape)))
        part = ops.slice(whole, begin, end, step) if shape != room else whole
        for user in users:
            user.replace_source_output(part.output(0))
        # Removed and added, it is the last: all are, so that their order stays.
        model.remove_parameter(parameter)
        model.add_parameters([whole])
    return model


def _choice(bodies: Sequence[Any]) -> Any:  # noqa: ANN401 - OpenVINO's types
    """Return one model of those, which have the same inputs; a last input more says which of them is to run.

    Branches of one model share what OpenVINO makes of their weights; models that are compiled apart do not.
    """
    import openvino
    from openvino import opset13 as ops

    first, *others = bodies
    if not others:
        return first
    other = _choice(others)
    inputs = [ops.parameter(one.get_output_shape(0), one.get_element_type()) for one in first.get_parameters()]
    which = ops.parameter([], np.int64)
    choice = ops.if_op(ops.less_equal(which, ops.constant(np.int64(0))).output(0))
    choice.set_then_body(first)
    choice.set_else_body(other)
    below = [*other.get_parameters()]
    for number, given in enumerate(inputs):
        choice.set_input(given.output(0), first.get_parameters()[number], below[number])
    if len(below) > len(inputs):
        one_less = ops.subtract(which, ops.constant(np.int64(1)))
        choice.set_input(one_less.output(0), None, below[-1])
    found = [choice.set_output(one, two) for one, two in zip(first.get_results(), other.get_results(), strict=True)]
    return openvino.Model([ops.result(one) for one in found], [*inputs, which])


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
    with tempfile.TemporaryDirectory() as folder:
        half = Path(folder) / "model.xml"
        openvino.save_model(converted, half, compress_to_fp16=True)
        # Out of memory, so that no file is in use that is to be removed.
        model = _core().read_model(half.read_bytes(), half.with_suffix(".bin").read_bytes())
    _widen_tables(model)
    openvino.save_model(model, path, compress_to_fp16=False)


def _widen_tables(model: Any) -> None:  # noqa: ANN401 - OpenVINO's type
    """Turn the tables that are looked up, such as those of the words' vectors, from half to single precision.

    With one in half precision OpenVINO converts all of it again and again while it compiles: half of the time.
    """
    from openvino import opset13 as ops

    for node in model.get_ordered_ops():
        if node.get_type_name() != "Gather":
            continue
        widened = node.input(0).get_source_output().get_node()
        if widened.get_type_name() == "Convert" and widened.get_element_type().to_dtype() == np.float32:
            table = widened.input(0).get_source_output().get_node()
            if table.get_type_name() == "Constant":
                node.input(0).replace_source_output(ops.constant(table.get_data().astype(np.float32)).output(0))


@cache
def _core() -> Any:  # noqa: ANN401 - OpenVINO's type
    """Return the one OpenVINO runtime of this process; each has threads of its own."""
    # Imported here because it takes a third of a second; its telemetry must be off before that.
    os.environ["OPENVINO_TELEMETRY_OPTOUT"] = "1"
    import openvino

    # Its Python part makes its tables of types when they are first asked for, and two threads that do so at once wait
    # for one another for good. Here, before there is any model, they are made by one.
    with _starting:
        for dtype in (np.int64, np.float32):
            made = openvino.Tensor(np.zeros(1, dtype=dtype))
            _ = made.element_type.to_dtype(), made.data
        return openvino.Core()
