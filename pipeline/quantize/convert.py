"""Full conversion to integers: rewrite, check the rewrite, calibrate, cure, convert, report."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.errors import CheckFailed, ModelNotSupported, UsageError
from pipeline.load import FloatModel, Samples, TensorSpec
from pipeline.load.frameworks import captured_stderr, import_tensorflow
from pipeline.load.frozen import freeze
from pipeline.load.samples import spread
from pipeline.metrics import compare_predictions
from pipeline.progress import Progress
from pipeline.quantize.bias import correct_biases
from pipeline.quantize.dead import refuse_dead, widen_dead
from pipeline.quantize.equalize import equalize
from pipeline.quantize.fold import Rewritten, fold_normalizations, in_float32
from pipeline.quantize.int16 import as_kernels_take_it, operands_as_inputs
from pipeline.quantize.mixed import choose_places, costly_layers, cut_out, find_layers, stitch, widened
from pipeline.quantize.predict import (
    dequantize,
    give_samples,
    make_interpreter,
    predict_float,
    predict_int8,
    run_float,
)
from pipeline.quantize.ranges import choose_ranges, measure_ranges, observe, share_ranges
from pipeline.quantize.recipe import CALIBRATION_SAMPLES, OWN_BORDER, ActivationType, BorderTypes, Recipe
from pipeline.quantize.replace import replace_operators
from pipeline.quantize.results import Calibration, QuantizedModel, TensorRange
from pipeline.quantize.tflite_graph import TfliteGraph
from pipeline.quantize.train import Trained, fine_tune, refuse_untrainable
from pipeline.tensors import Values, arrays_of

CHECKED_SAMPLES = 64
"""On which the rewritten float model is held against the original, and whose ranges are reported."""
COMPARED_SAMPLES = 200
"""On which float and int8 are held against each other."""
REWRITE_TOLERANCE = 1e-3
"""Of the largest output: float32 sums in another order stay below 1e-5, a wrong fold is far above."""


Check = Callable[[bytes], Mapping[str, str]]
"""Refuses a file that later stages cannot carry; gives its layers' names, by the tensors that they write."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model as a float TFLite graph with measured ranges: what every recipe starts from."""

    model: FloatModel
    graph: bytes
    """TFLite, in float32; beside each activation its smallest and largest value on `x`."""
    x: Values
    """float32 (N, *input_shape): the calibration samples."""
    training: Values | None
    """float32 (M, *input_shape): samples to fine-tune on, where there are any."""
    rewrites: tuple[str, ...]
    """What has been done to the model in float, in words."""
    border: BorderTypes = OWN_BORDER


def quantize_model(
    model: FloatModel,
    samples: Samples,
    *,
    recipe: Recipe | None = None,
    border: BorderTypes = OWN_BORDER,
    check: Check | None = None,
    progress: Progress | None = None,
) -> QuantizedModel:
    """Convert to integers with per-channel weights, a batch of one, and inputs and outputs as `border` says.

    Float rewrites come first (batch norm folded, `pipeline.quantize.fold`), checked on the samples, then
    the recipe's cures. The same model, samples and recipe give the same bytes. `check` is given the file
    as soon as it is converted, to refuse what the later stages cannot carry before TFLite's own kernels
    meet it.

    Raises CheckFailed E_REWRITE where a rewrite changes the function, UsageError E_SAMPLES_SHAPE or
    E_BORDER_TYPE,
    and ModelNotSupported E_OP_UNSUPPORTED where TFLite has no int8 form of an operator, or
    E_MODEL_DEAD where nothing of the inputs reaches an output.
    """
    recipe = recipe or Recipe()
    prepared = prepare_model(model, samples, count=recipe.samples, border=border, progress=progress)
    float_tflite, tflite, words = apply_recipe(prepared, recipe, check=check, progress=progress)
    chosen = prepared.x
    ranges = _measure_ranges(tflite, chosen[spread(len(chosen), CHECKED_SAMPLES)], progress)
    compared = samples.take(COMPARED_SAMPLES).x
    _, real = predict_int8(tflite, compared, progress=progress)
    original = predict_float(model, compared)
    return QuantizedModel(
        name=model.name,
        tflite=tflite,
        calibration=Calibration(
            origin=samples.origin,
            samples=len(chosen),
            ranges=ranges,
            rewrites=(*prepared.rewrites, *words),
            recipe=str(recipe),
        ),
        agreement=compare_predictions(original, real, [spec.classes != 1 for spec in model.outputs]),
        sha256=hashlib.sha256(tflite).hexdigest(),
        float_tflite=float_tflite,
    )


def prepare_model(
    model: FloatModel,
    samples: Samples,
    *,
    count: int = CALIBRATION_SAMPLES,
    border: BorderTypes = OWN_BORDER,
    fold: bool = True,
    progress: Progress | None = None,
) -> Prepared:
    """The model in float TFLite, batch norm folded, with ranges of at most `count` calibration samples.

    Without `fold` batch norm is left to the converter.
    Raises as `quantize_model`.
    """
    for spec, array in zip(model.inputs, arrays_of(samples.x), strict=True):
        if array.shape[1:] != spec.shape:
            raise UsageError(
                f"the samples have shape {array.shape[1:]}, the model's input {spec.name} is {spec.shape}",
                code="E_SAMPLES_SHAPE",
                where=model.path,
            )
    _refuse_weights(model)
    chosen = samples.to_calibrate(count)
    _report(progress, "folding batch norms", 0, 1)
    rewritten = fold_normalizations(model) if fold else Rewritten(in_float32(model), (), {})
    difference = _check_rewrite(model, rewritten, chosen[spread(len(chosen), CHECKED_SAMPLES)])
    _report(progress, "folding batch norms", 1, 1)
    graph, replaced = _with_ranges(model, _named_function(model, rewritten), chosen, progress)
    words = (*_rewrites_in_words(rewritten, difference), *replaced)
    return Prepared(model, graph, chosen, samples.training, words, border)


def apply_recipe(
    prepared: Prepared,
    recipe: Recipe,
    *,
    check: Check | None = None,
    progress: Progress | None = None,
) -> tuple[bytes | None, bytes, tuple[str, ...]]:
    """The float TFLite file with the cures in it, the int8 one made of it, and what was done, in words.

    Both files have the same operators in the same order, and the same names of tensors, but for what
    quantizing puts between them. (Biases are corrected in the second alone.)

    Raises as `quantize_model`.
    """
    graph, words = TfliteGraph(prepared.graph), []
    if graph.has_own_ranges:
        return _with_own_ranges(prepared, recipe, check)
    x = prepared.x[spread(len(prepared.x), recipe.samples)]
    if len(x) < len(prepared.x):
        measure_ranges(graph, x, progress)
    if recipe.equalize:
        before = graph.pack()
        words += [f"equalized {chain}" for chain in equalize(graph, observe(graph, x, progress))]
        _check_equalized(prepared, before, graph.pack())
        measure_ranges(graph, x, progress)
    whole = {tensor: graph.range(tensor) for tensor in graph.activations()}
    if recipe.ranges != "minmax":
        chosen = choose_ranges(observe(graph, x, progress), recipe.ranges)
        for tensor, ends in chosen.items():
            graph.set_range(tensor, *ends)
        words.append(f"ranges of {len(chosen)} activations by {recipe.ranges}")
    refuse_dead(graph, prepared.model.path)
    widen_dead(graph)
    share_ranges(graph)
    if recipe.epochs:
        words.append(str(_fine_tune(prepared, graph, recipe.epochs, progress)))
    float_tflite = graph.pack()
    tflite = _make_integers(prepared, float_tflite, recipe.activations)
    if recipe.activations == "int16":
        words.append("activations in int16")
    names = check(tflite) if check else {}
    if recipe.layers:
        tflite, kept = _keep_in_int16(prepared, recipe.layers, tflite, graph, whole, names)
        words.append(f"kept in int16: {', '.join(kept)}")
        if check:
            check(tflite)
    if recipe.correct_bias:
        tflite, layers = correct_biases(graph, tflite, x, progress)
        words.append(f"biases of {layers} layers corrected")
    return float_tflite, tflite, tuple(words)


def _keep_in_int16(
    prepared: Prepared,
    asked: tuple[str, ...] | int,
    tflite: bytes,
    graph: TfliteGraph,
    ranges: Mapping[int, tuple[float, float] | None],
    names: Mapping[str, str],
) -> tuple[bytes, tuple[str, ...]]:
    """The int8 file of a float graph with some layers in int16, and which.

    `ranges` are those of int16: nothing has to be cut for steps that are as fine as these.
    """
    floats = graph.pack()
    layers = find_layers(tflite, floats, names)
    chosen = costly_layers(tflite, floats, prepared.x, names)[:asked] if isinstance(asked, int) else asked
    places = widened(graph, choose_places(layers, chosen))
    real = TfliteGraph(floats)
    for tensor, ends in ranges.items():
        if ends is not None:
            real.set_range(tensor, *ends)
    widen_dead(real)
    wide = _quantize(prepared, cut_out(real, places), "int16", BorderTypes("float32", "float32"))
    return _signed(stitch(tflite, wide, real, places), prepared.model), tuple(chosen)


def _with_own_ranges(
    prepared: Prepared, recipe: Recipe, check: Check | None
) -> tuple[None, bytes, tuple[str, ...]]:
    """As `apply_recipe`, of a model that was trained with fake-quant nodes: there is no float file of it."""
    if recipe.cures:
        raise UsageError(
            f"the recipe {str(recipe)!r} would change a model that was trained for int8, ranges and all",
            code="E_RECIPE",
            where=prepared.model.path,
            hint="leave the recipe out: the ranges of its fake-quant nodes are kept",
        )
    tflite = _make_integers(prepared, prepared.graph)
    if check:
        check(tflite)
    refuse_dead(TfliteGraph(tflite), prepared.model.path)
    return None, tflite, ("ranges of the model's own fake-quant nodes kept",)


def _refuse_weights(model: FloatModel) -> None:
    """Weights that are no numbers."""
    broken = [
        weight.path if hasattr(weight, "path") else weight.name
        for weight in getattr(model.live, "weights", [])
        if not np.isfinite(np.asarray(weight)).all()
    ]
    if broken:
        raise ModelNotSupported(
            f"{len(broken)} of the model's weights hold NaN or infinity",
            code="E_MODEL_NAN",
            where=model.path,
            details=broken,
            hint="train again with a smaller learning rate, and save the model before it diverges",
        )


def _report(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress:
        progress(what, done, total)


def _check_rewrite(model: FloatModel, rewritten: Rewritten, x: Values) -> float:
    """The largest difference of any output; refused where it is no rounding."""
    if not rewritten.folds:
        return 0.0
    original, folded = run_float(in_float32(model), x), run_float(rewritten.live, x)
    difference = max(float(np.abs(a - b).max()) for a, b in zip(original, folded, strict=True))
    largest = max(float(np.abs(output).max()) for output in original)
    if not difference <= REWRITE_TOLERANCE * max(largest, 1e-6):
        raise CheckFailed(
            f"folding batch norm changes the float model's outputs by up to {difference:.3g} "
            f"(largest output {largest:.3g}), expected rounding only",
            code="E_REWRITE",
            where=model.path,
            details=[str(fold) for fold in rewritten.folds],
            hint="this is a defect of the fold: please report the model's structure",
        )
    return difference


def _fine_tune(prepared: Prepared, graph: TfliteGraph, epochs: int, progress: Progress | None) -> Trained:
    if prepared.training is None:
        raise UsageError(
            "the recipe fine-tunes the model, and there are no training samples",
            code="E_RECIPE",
            where=prepared.model.path,
            hint="name them: --training train.npz (labels are not needed), or leave `train` out",
        )
    refuse_untrainable(graph, prepared.model.path)
    # As the int8 file has them: some operators take their scale from a neighbour.
    integers = TfliteGraph(_make_integers(prepared, graph.pack()))
    reaches = {integers.name(tensor): integers.reach(tensor) for tensor in integers.made()}
    ends = {t: held for t in graph.activations() if (held := reaches.get(graph.name(t))) is not None}
    return fine_tune(graph, ends, prepared.training, epochs, progress)


def _check_equalized(prepared: Prepared, before: bytes, after: bytes) -> None:
    """Refuse an equalization that is more than roundings: the function has to stay."""
    x = prepared.x[spread(len(prepared.x), CHECKED_SAMPLES)]
    original, equalized = (predict_int8(graph, x, reference=False)[1] for graph in (before, after))
    pairs = list(zip(arrays_of(original), arrays_of(equalized), strict=True))
    difference = max(float(np.abs(a - b).max()) for a, b in pairs)
    largest = max(float(np.abs(a).max()) for a, _ in pairs)
    if not difference <= REWRITE_TOLERANCE * max(largest, 1e-6):
        raise CheckFailed(
            f"equalizing channels changes the float model's outputs by up to {difference:.3g} "
            f"(largest output {largest:.3g}), expected rounding only",
            code="E_REWRITE",
            where=prepared.model.path,
            hint="leave equalize out, and please report the model's structure: this is a defect",
        )


def _rewrites_in_words(rewritten: Rewritten, difference: float) -> tuple[str, ...]:
    return tuple(
        f"{fold}; all folds together change no float output by more than {difference:.1e}"
        if fold is rewritten.folds[-1]
        else str(fold)
        for fold in rewritten.folds
    )


# --- conversion ----------------------------------------------------------------------------------


def _named_function(model: FloatModel, rewritten: Rewritten) -> Any:
    """The concrete function that is converted, its operations named after the user's layers.

    A function, not the model: a batch of one is then known everywhere, and no SHAPE, STRIDED_SLICE or
    PACK is left to compute it.
    """
    frozen = freeze(lambda batch: rewritten.live(batch, training=False), model.inputs)
    return _rename(frozen, rewritten.names, [spec.name for spec in model.outputs])


def _with_ranges(
    model: FloatModel, function: Any, x: Values, progress: Progress | None
) -> tuple[bytes, tuple[str, ...]]:
    """The float graph with the range of each activation on the samples x; which operators gave way to others.

    The converter's own calibrator reads each operator's input and output from the interpreter's memory. Where
    the kernel writes over its input, as ADD does, it takes the values of the sum for those of the input:
    the last layer of a residual branch then gets twice the range that it needs. So ranges are measured
    here, with every activation kept. Only a model with fake-quant nodes is left to the calibrator, since it
    has become integers by then.
    """
    content = _convert(model, function, x[:1], None)
    graph = TfliteGraph(content)
    if graph.has_own_ranges:
        return _convert(model, function, x, progress), ()
    replaced = replace_operators(graph)
    measure_ranges(graph, x, progress)
    return graph.pack(), replaced


def _convert(model: FloatModel, function: Any, x: Values, progress: Progress | None) -> bytes:
    """The float graph with the ranges that TFLite's calibrator sees on the samples x."""
    tensorflow = import_tensorflow()

    def calibration() -> Iterator[list[np.ndarray]]:
        for index, sample in enumerate(zip(*arrays_of(x), strict=True)):
            yield [array[None] for array in sample]
            _report(progress, "calibrating", index + 1, len(x))

    with captured_stderr() as chatter:
        converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([function])
        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
        converter.representative_dataset = calibration
        converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tensorflow.int8
        converter.inference_output_type = tensorflow.int8
        # Stop where the ranges stand beside the tensors; `_make_integers` is the converter's next step.
        converter._experimental_calibrate_only = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return bytes(converter.convert())
        except Exception as error:  # the converter raises ConverterError, ValueError and RuntimeError
            raise _not_convertible(model, error, chatter()) from error


def _make_integers(prepared: Prepared, graph: bytes, activations: ActivationType = "int8") -> bytes:
    """The integers of a float graph with ranges."""
    _refuse_border(prepared, activations)
    return _signed(_quantize(prepared, graph, activations, prepared.border), prepared.model)


def _quantize(prepared: Prepared, graph: bytes, activations: ActivationType, border: BorderTypes) -> bytes:
    """TFLite's own quantizer, as its converter calls it.

    With int16 the quantizer leaves float32 at the border, and the converter takes that off afterwards.
    """
    tensorflow = import_tensorflow()
    from tensorflow.compiler.mlir.lite import types_pb2
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.python.util import modify_model_io_type

    types: Any = types_pb2
    set_border: Any = modify_model_io_type
    wide = activations == "int16"
    sides = [tensorflow.dtypes.as_dtype(side or activations) for side in (border.inputs, border.outputs)]
    given, operands = operands_as_inputs(graph) if wide else (graph, {})
    with captured_stderr() as chatter:
        try:
            quantized = mlir_quantize(
                given,
                inference_type=types.QUANTIZED_INT16 if wide else types.QUANTIZED_INT8,
                input_data_type=sides[0],
                output_data_type=sides[1],
            )
            if wide:
                quantized = set_border(as_kernels_take_it(bytes(quantized), graph, operands), *sides)
        except Exception as error:  # the quantizer raises ConverterError, ValueError and RuntimeError
            raise _not_convertible(prepared.model, error, chatter(), activations) from error
    return bytes(quantized)


def _refuse_border(prepared: Prepared, activations: ActivationType) -> None:
    """Types that TFLite's quantizer does not put at the border of a model with these activations."""
    possible = ("int16", "float32") if activations == "int16" else ("int8", "uint8", "float32")
    for side, asked in (("input", prepared.border.inputs), ("output", prepared.border.outputs)):
        if asked is not None and asked not in possible:
            raise UsageError(
                f"the {side}s were to be {asked}, and the model's activations are {activations}: "
                f"expected {' or '.join(possible)}",
                code="E_BORDER_TYPE",
                where=prepared.model.path,
                hint=f"leave --{side}-type out for {activations}; <model>_preprocess.h converts",
            )


def _signed(tflite: bytes, model: FloatModel) -> bytes:
    """The file with a signature that names its inputs and outputs, where there are several of either.

    The converter writes none for a function; without one only an order would tell the inputs apart.
    """
    if len(model.inputs) == len(model.outputs) == 1:
        return tflite
    graph = TfliteGraph(tflite)
    signature: Any = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.inputs = _named_tensors(model.inputs, graph.subgraph.inputs)
    signature.outputs = _named_tensors(model.outputs, graph.subgraph.outputs)
    graph.model.signatureDefs = [signature]
    return graph.pack()


def _named_tensors(specs: Sequence[TensorSpec], tensors: Sequence[int]) -> list[Any]:
    entries = []
    for spec, index in zip(specs, tensors, strict=True):
        entry: Any = schema.TensorMapT()
        entry.name, entry.tensorIndex = spec.name, int(index)
        entries.append(entry)
    return entries


def _not_convertible(
    model: FloatModel, error: Exception, chatter: str, activations: ActivationType = "int8"
) -> ModelNotSupported:
    words = f"{error}\n{chatter}"
    operators = sorted(set(re.findall(r"\btf\.(\w+)\(", words)) | set(re.findall(r"tf\.(\w+)' op", words)))
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ModelNotSupported(
        f"TensorFlow Lite has no {activations} form of this model",
        code="E_OP_UNSUPPORTED",
        where=model.path,
        details=[f"TensorFlow operation {name}" for name in operators] or [line[:300] for line in lines[:3]],
        hint="replace the layers that these operations come from",
    )


def _operation_name(layer: str) -> str:
    """A layer's name as TensorFlow lets an operation be called; it begins with a letter, a digit or a dot."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", layer).lstrip("_-") or "layer"


def _rename(frozen: Any, names: dict[str, str], outputs: Sequence[str]) -> Any:
    """Name the operations after the user's layers; Keras numbers its name scopes anew in every trace.

    `model_1/layer0003_1/convolution` becomes `conv2d_1/convolution`, without the counters that would
    make the bytes depend on what ran before.
    """
    tensorflow = import_tensorflow()
    graph = frozen.graph.as_graph_def()
    taken: set[str] = set()
    renamed: dict[str, str] = {}
    results = {tensor.op.name: name for tensor, name in zip(frozen.outputs, outputs, strict=True)}
    for node in graph.node:
        found = re.search(r"(?:^|/)(layer\d{4})(?:_\d+)?/", node.name)
        name = node.name
        if found and found.group(1) in names:
            name = f"{_operation_name(names[found.group(1)])}/{node.name[found.end() :]}"
        if node.name in results and "/" not in node.name:  # `Identity`, behind the last layer
            name = f"{_operation_name(results[node.name])}/Output"
        candidate, number = name, 1
        while candidate in taken:
            candidate = f"{name}_{number}"
            number += 1
        taken.add(candidate)
        renamed[node.name] = candidate
    for node in graph.node:
        node.name = renamed[node.name]
        for index, source in enumerate(node.input):
            control, plain = source.startswith("^"), source.lstrip("^")
            base, _, port = plain.partition(":")
            node.input[index] = ("^" if control else "") + renamed[base] + (f":{port}" if port else "")
        for attribute in node.attr.values():
            for index, place in enumerate(attribute.list.s):
                if place.startswith(b"loc:@"):
                    attribute.list.s[index] = b"loc:@" + renamed.get(place[5:].decode(), "").encode()

    def renamed_tensors(tensors: Any) -> list[str]:
        return [f"{renamed[tensor.op.name]}:{tensor.value_index}" for tensor in tensors]

    wrapped = tensorflow.compat.v1.wrap_function(
        lambda: tensorflow.compat.v1.import_graph_def(graph, name=""), []
    )
    inputs, outputs = renamed_tensors(frozen.inputs), renamed_tensors(frozen.outputs)
    element = wrapped.graph.as_graph_element
    return wrapped.prune([element(name) for name in inputs], [element(name) for name in outputs])


# --- what became of it ---------------------------------------------------------------------------


def _measure_ranges(tflite: bytes, x: Values, progress: Progress | None) -> tuple[TensorRange, ...]:
    """Of all int8 and int16 inputs and operators' outputs: values seen, and how many stand at the ends."""
    interpreter = make_interpreter(tflite, reference=True, keep_all=True)
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    wanted = [detail["index"] for detail in interpreter.get_input_details()] + [
        int(index) for operator in interpreter._get_ops_details() for index in operator["outputs"]
    ]
    wanted = [index for index in dict.fromkeys(wanted) if details[index]["dtype"] in (np.int8, np.int16)]
    bounds = {index: np.iinfo(details[index]["dtype"]) for index in wanted}
    lows, highs = ({index: int(getattr(bounds[index], end)) for index in wanted} for end in ("max", "min"))
    ends, counts = dict.fromkeys(wanted, 0), dict.fromkeys(wanted, 0)
    for number in give_samples(interpreter, x):
        interpreter.invoke()
        for index in wanted:
            values = interpreter.get_tensor(index)
            lows[index] = min(lows[index], int(values.min()))
            highs[index] = max(highs[index], int(values.max()))
            at_ends = (values == bounds[index].min) | (values == bounds[index].max)
            ends[index] += int(at_ends.sum())
            counts[index] += values.size
        _report(progress, "measuring ranges", number + 1, len(x))
    return tuple(
        TensorRange(
            tensor=details[index]["name"],
            minimum=float(dequantize(np.array(lows[index]), details[index])),
            maximum=float(dequantize(np.array(highs[index]), details[index])),
            scale=float(details[index]["quantization"][0]),
            zero_point=int(details[index]["quantization"][1]),
            saturated=ends[index] / max(1, counts[index]),
        )
        for index in wanted
    )
