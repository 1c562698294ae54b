"""The sketched int8 graph: the nodes that the converter would make, and the cost of the real graph."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.boards import load_board
from pipeline.forecast import forecast_cycles
from pipeline.load import FloatModel, load_model
from pipeline.lower import lower_program
from pipeline.operators import Activation
from pipeline.passes import apply_passes
from pipeline.plan import plan_schedule
from pipeline.read_tflite import read_tflite
from pipeline.schedule import schedule_layers
from pipeline.sketch import sketch_graph
from pipeline.timing import timing_model
from tests.unit.test_analyze import layer, model_of

SHAPE = (8, 8, 4)


def conv(name, reads, inputs, output, **attributes):
    return layer(
        "Conv2D", inputs, output, name=name, reads=(reads,), kernel_size=(3, 3), padding="same",
        use_bias=True, **attributes,
    )  # fmt: skip


def test_activations_fuse_where_nobody_else_reads_what_is_before():
    graph = sketch_graph(
        model_of(
            conv("a", "input", SHAPE, SHAPE, activation="linear"),
            layer("BatchNormalization", SHAPE, SHAPE, name="n", reads=("a",)),
            layer("ReLU", SHAPE, SHAPE, name="r", reads=("n",)),
            conv("b", "r", SHAPE, SHAPE, activation="relu6"),
            layer("Add", (SHAPE, SHAPE), SHAPE, name="sum", reads=("r", "b")),
            layer("Activation", SHAPE, SHAPE, name="last", reads=("sum",), activation="relu"),
            input_shape=SHAPE,
        )
    )
    assert [node.op.tflite_name for node in graph.nodes] == ["CONV_2D", "CONV_2D", "ADD"]
    assert [node.op.activation for node in graph.nodes] == [
        Activation.RELU, Activation.RELU6, Activation.RELU,
    ]  # fmt: skip
    assert graph.nodes[2].inputs == (graph.nodes[0].output, graph.nodes[1].output)


def test_an_activation_of_a_layer_that_others_read_stays_a_node():
    graph = sketch_graph(
        model_of(
            conv("a", "input", SHAPE, SHAPE),
            layer("ReLU", SHAPE, SHAPE, name="r", reads=("a",)),
            layer("Add", (SHAPE, SHAPE), SHAPE, name="sum", reads=("a", "r")),
            input_shape=SHAPE,
        )
    )
    assert [node.op.tflite_name for node in graph.nodes] == ["CONV_2D", "RELU", "ADD"]


def test_shapes_without_an_operator_cost_none():
    graph = sketch_graph(
        model_of(
            layer("MaxPooling2D", SHAPE, (4, 4, 4), name="p", pool_size=(2, 2), strides=(2, 2)),
            layer("Flatten", (4, 4, 4), (64,), name="f", reads=("p",)),
            layer("Dense", (64,), (10,), name="d", reads=("f",), activation="softmax", use_bias=True),
            input_shape=SHAPE,
        )
    )
    assert [node.op.tflite_name for node in graph.nodes] == ["MAX_POOL_2D", "FULLY_CONNECTED", "SOFTMAX"]
    assert graph.tensors[graph.outputs[0]].shape == (1, 10)


def test_what_is_not_known_is_not_sketched():
    unknown = model_of(layer("LSTM", SHAPE, SHAPE, name="l"), input_shape=SHAPE)
    assert sketch_graph(unknown) is None
    odd = model_of(conv("a", "input", SHAPE, SHAPE, activation="swish"), input_shape=SHAPE)
    assert sketch_graph(odd) is None


def test_a_convolution_in_groups_has_weights_for_all_channels():
    """As it is read from the int8 file."""
    grouped = conv("a", "input", SHAPE, SHAPE)
    grouped = replace(grouped, attributes={**grouped.attributes, "groups": 2})
    graph = sketch_graph(model_of(grouped, input_shape=SHAPE))
    (node,) = graph.nodes
    assert graph.operands(node)[1].shape[3] == SHAPE[2]


def constant_bytes(schedule):
    program = lower_program(schedule, plan_schedule(schedule))
    return sum(constant.data.nbytes for constant in program.constants)


def test_layers_that_are_alike_have_weights_of_their_own():
    """Equal constants are stored once: those of a sketch must not be equal by being made up."""
    dense = [
        layer("Dense", (64,), (64,), name=name, reads=(before,), use_bias=True)
        for name, before in (("a", "input"), ("b", "a"), ("c", "b"))
    ]
    sizes = [
        constant_bytes(schedule_layers(sketch_graph(model_of(*dense[:n], input_shape=(64,)))))
        for n in (1, 2, 3)
    ]
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1] == 64 * 64 + 4 * 64 + 64 * 5


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("keras", "tflite"),
    [("pretrainedResnet.h5", "pretrainedResnet_quant.tflite"), ("ad01.h5", "ad01_int8.tflite")],
)
def test_a_sketch_costs_what_the_converted_model_costs(shared, keras, tflite):
    folder = shared / "models" / "mlperf_tiny"
    model, real = load_model(folder / keras), load_model(folder / tflite)
    assert isinstance(model, FloatModel)
    sketched = sketch_graph(model)
    board = timing_model(load_board("nucleo_l4r5zi"))
    schedules = [
        schedule_layers(apply_passes(graph)[0]) for graph in (sketched, read_tflite(real.content, "real"))
    ]
    cycles = [forecast_cycles(schedule, board, "balanced").cycles for schedule in schedules]
    arenas = [plan_schedule(schedule).arena_bytes for schedule in schedules]
    assert cycles[0] == pytest.approx(cycles[1], rel=0.01)
    assert arenas[0] == arenas[1]
    sizes = [constant_bytes(schedule) for schedule in schedules]
    # The dense layers of this autoencoder have one scale each, as older converters made them.
    assert sizes[0] == pytest.approx(sizes[1], rel=0.035 if keras == "ad01.h5" else 0.01)
