"""Reading model files: every form, and every way in which one can be wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import ModelNotSupported, PipelineError, UsageError
from pipeline.load import FloatModel, TfliteModel, load_model
from pipeline.load.description import identifier

ROOT = Path(__file__).parents[2]


def refusal(path) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        load_model(path)
    return caught.value


# --- what needs no TensorFlow --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("net", "net"),
        ("my-net.v2", "my_net_v2"),
        ("3d net", "model_3d_net"),
        ("Größe", "Gr__e"),
        ("--", "model"),
    ],
)
def test_identifier(text, expected):
    assert identifier(text) == expected


def test_a_missing_file_names_no_neighbour_that_is_no_model(tmp_path):
    (tmp_path / "nets").mkdir()
    (tmp_path / "net.txt").write_text("")
    assert "did you mean" not in refusal(tmp_path / "net").hint
    (tmp_path / "nets" / "saved_model.pb").write_bytes(b"")
    assert f"did you mean {tmp_path / 'nets'}?" in refusal(tmp_path / "net").hint


def test_a_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "cifar10.keras").write_bytes(b"x")
    error = refusal(tmp_path / "cifar1O.keras")
    assert isinstance(error, UsageError)
    assert error.code == "E_MODEL_MISSING"
    assert "cifar10.keras" in error.hint


@pytest.mark.parametrize(
    ("name", "near"), [("a.kears", "a.keras"), ("a.tflit", "a.tflite"), ("a.hdf", "a.h")]
)
def test_an_unknown_suffix_names_the_nearest(tmp_path, name, near):
    (tmp_path / name).write_bytes(b"x")
    error = refusal(tmp_path / name)
    assert error.code == "E_MODEL_FORMAT"
    assert near in error.hint


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.keras", b"", "empty"),
        ("a.keras", b"import keras\n", "text"),
        ("a.h5", b"<html>not found</html>", "text"),
        ("a.keras", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS"),
        ("a.keras", bytes(range(256)), "neither"),
        ("a.keras", b"PK\x03\x04" + bytes(50), "damaged"),
        ("a.tflite", b"text", "no TFLite file"),
        ("a.tflite", b"\x1c\0\0\0TFL3" + b"\xff" * 40, "damaged"),
    ],
)
def test_files_that_are_no_models(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    error = refusal(tmp_path / name)
    assert isinstance(error, ModelNotSupported)
    assert error.code == "E_MODEL_DAMAGED"
    assert says in error.problem


def test_a_zip_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("data.txt", "x")
    error = refusal(tmp_path / "a.keras")
    assert error.code == "E_MODEL_DAMAGED"
    assert "metadata.json" in error.problem


def test_a_folder_that_is_no_saved_model(tmp_path):
    assert refusal(tmp_path).code == "E_MODEL_FORMAT"


def test_a_tflite_file_is_read_without_tensorflow(shared):
    code = (
        "import sys; from pipeline.load import load_model; "
        f"m = load_model({str(shared / 'models/mlperf_tiny/pretrainedResnet_quant.tflite')!r}); "
        "assert not {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules), 'imported'; "
        "s, = m.inputs; print(s.shape, s.dtype, s.scale, s.zero_point)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "(32, 32, 3) int8 1.0 -128\n"


# --- Keras ---------------------------------------------------------------------------------------


def small(k, **first):
    x = k.Input(first.pop("shape", (8, 8, 3)), name="picture", **first)
    y = k.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    y = k.layers.GlobalAveragePooling2D(name="pool")(y)
    return k.Model(x, k.layers.Dense(2, activation="softmax", name="dense")(y), name="small")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """One network in every form; the folder."""
    pytest.importorskip("tensorflow")
    import keras
    import tf_keras

    folder = tmp_path_factory.mktemp("models")
    model = small(keras)
    model.save(folder / "k3.keras")
    model.save(folder / "k3.h5")
    model.save_weights(folder / "k3.weights.h5")
    model.export(folder / "k3_saved", verbose=False)
    old = small(tf_keras)
    old.set_weights(model.get_weights())
    old.save(folder / "k2.h5")
    old.save(folder / "k2.keras")
    old.save(folder / "k2_saved", save_format="tf")
    return folder


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "api"),
    [
        ("k3.keras", "keras"),
        ("k3.h5", "keras"),
        ("k2.h5", "tf_keras"),
        ("k2.keras", "tf_keras"),
        ("k2_saved", "tf_keras"),
        ("k3_saved", "saved_model"),
    ],
)
def test_every_form_is_the_same_model(saved, name, api):
    from pipeline.quantize import predict_float

    model = load_model(saved / name)
    assert isinstance(model, FloatModel)
    assert model.api == api
    assert model.input_shape == (8, 8, 3)
    assert model.output_shape == (2,)
    assert sum(layer.parameters for layer in model.layers) == 3 * 9 * 4 + 4 + 4 * 2 + 2
    kinds = [layer.kind for layer in model.layers if layer.kind not in {"ReLU", "Softmax"}]
    assert kinds == ["Conv2D", "GlobalAveragePooling2D", "Dense"]
    assert [model.layers[-1].name] == [spec.name for spec in model.outputs]
    assert model.layers[0].inputs == tuple(spec.name for spec in model.inputs)
    assert len(model.sha256) == 64
    x = np.random.default_rng(0).random((5, 8, 8, 3)).astype(np.float32)
    expected = predict_float(load_model(saved / "k3.keras"), x)
    np.testing.assert_allclose(predict_float(model, x), expected, atol=1e-6)


@pytest.mark.tensorflow
def test_weights_only(saved):
    error = refusal(saved / "k3.weights.h5")
    assert error.code == "E_MODEL_WEIGHTS_ONLY"


def test_a_group_whose_name_is_no_text_is_named_all_the_same(tmp_path):
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file.create_group(b"layer_\xff")
    error = refusal(tmp_path / "odd.h5")
    assert error.code == "E_MODEL_WEIGHTS_ONLY"
    assert "layer_\ufffd" in str(error)
    assert "load_weights" in error.hint


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["k3.keras", "k2.h5"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_file_cut_short(saved, tmp_path, name, kept):
    content = (saved / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * kept)])
    assert refusal(tmp_path / name).code == "E_MODEL_DAMAGED"


@pytest.mark.tensorflow
def test_a_changed_byte_in_the_archive(saved, tmp_path):
    content = bytearray((saved / "k3.keras").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "a.keras").write_bytes(content)
    assert refusal(tmp_path / "a.keras").code == "E_MODEL_DAMAGED"


@pytest.mark.tensorflow
def test_a_saved_model_with_a_broken_graph(saved, tmp_path):
    shutil.copytree(saved / "k3_saved", tmp_path / "broken")
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"\x08\x01garbage")
    assert refusal(tmp_path / "broken").code == "E_MODEL_DAMAGED"


@pytest.mark.tensorflow
def test_custom_layers_are_listed(saved, tmp_path):
    with zipfile.ZipFile(saved / "k3.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    for layer, kind in ((1, "Mine"), (2, "Yours")):
        config["config"]["layers"][layer] |= {
            "class_name": kind,
            "module": "my_code",
            "registered_name": kind,
        }
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    error = refusal(tmp_path / "a.keras")
    assert error.code == "E_MODEL_CUSTOM"
    assert error.details == ("conv: Mine", "pool: Yours")


def save(model, folder: Path) -> Path:
    path = folder / "net.keras"
    model.save(path)
    return path


@pytest.mark.tensorflow
def test_a_lambda_is_refused_and_never_run(tmp_path):
    keras = pytest.importorskip("keras")
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Lambda(lambda t: t * 2, name="twice")(x))
    error = refusal(save(model, tmp_path))
    assert error.code == "E_MODEL_CUSTOM"
    assert error.details == ("twice: Lambda",)


@pytest.mark.tensorflow
def test_dynamic_shapes(tmp_path):
    keras = pytest.importorskip("keras")
    error = refusal(save(small(keras, shape=(None, None, 3)), tmp_path))
    assert error.code == "E_SHAPE_DYNAMIC"
    assert "picture" in error.details[0]


@pytest.mark.tensorflow
def test_a_sequential_model_without_an_input(tmp_path):
    keras = pytest.importorskip("keras")
    error = refusal(save(keras.Sequential([keras.layers.Dense(2)]), tmp_path))
    assert error.code == "E_SHAPE_DYNAMIC"


@pytest.mark.tensorflow
def test_two_inputs_and_two_outputs(tmp_path):
    keras = pytest.importorskip("keras")
    a, b = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    joined = keras.layers.Add(name="sum")([a, b])
    scored = keras.layers.Dense(2, name="score")(joined)
    model = load_model(save(keras.Model([b, a], [scored, joined]), tmp_path))
    assert [(spec.name, spec.shape) for spec in model.inputs] == [("right", (4,)), ("left", (4,))]
    assert [(spec.name, spec.shape) for spec in model.outputs] == [("score", (2,)), ("sum", (4,))]
    assert model.layers[0].inputs == ("left", "right")


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("form", ["dense", "layer", "saved", "tflite"])
def test_a_sigmoid_at_the_end_is_known(tmp_path, form):
    keras = pytest.importorskip("keras")
    x = keras.Input((4,))
    named = keras.layers.Dense(1, activation="sigmoid", name="person")(x)
    if form != "dense":
        named = keras.layers.Activation("sigmoid", name="person")(keras.layers.Dense(1)(x))
    model = keras.Model(x, named)
    if form == "saved":
        model.export(tmp_path / "net", verbose=False)
        found = load_model(tmp_path / "net")
    elif form == "tflite":
        tensorflow = pytest.importorskip("tensorflow")
        converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
        (tmp_path / "net.tflite").write_bytes(converter.convert())
        found = load_model(tmp_path / "net.tflite")
    else:
        found = load_model(save(model, tmp_path))
    assert [(spec.is_sigmoid, spec.classes) for spec in found.outputs] == [(True, 2)]
    other = load_model(save(keras.Model(x, keras.layers.Dense(1, activation="tanh")(x)), tmp_path))
    assert [(spec.is_sigmoid, spec.classes) for spec in other.outputs] == [(False, 1)]


@pytest.mark.tensorflow
def test_integer_inputs(tmp_path):
    keras = pytest.importorskip("keras")
    x = keras.Input((4,), dtype="int32")
    model = keras.Model(x, keras.layers.Embedding(10, 2)(x))
    assert refusal(save(model, tmp_path)).code == "E_MODEL_INPUTS"


@pytest.mark.tensorflow
def test_channels_first(tmp_path):
    keras = pytest.importorskip("keras")
    x = keras.Input((3, 8, 8))
    model = keras.Model(x, keras.layers.MaxPooling2D(data_format="channels_first", name="pool")(x))
    error = refusal(save(model, tmp_path))
    assert error.code == "E_MODEL_LAYOUT"
    assert error.details == ("pool",)


@pytest.mark.tensorflow
def test_inner_models_and_shared_layers_are_described_flat(tmp_path):
    keras = pytest.importorskip("keras")
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="d")], name="inner")
    shared = keras.layers.Dense(4, name="twice")
    x = keras.Input((4,), name="x")
    y = keras.layers.Add(name="add")([shared(inner(x)), shared(x)])
    model = load_model(save(keras.Model(x, y), tmp_path))
    found = {layer.name: layer for layer in model.layers}
    assert set(found) == {"inner/d", "twice", "twice_1", "add"}
    assert found["inner/d"].inputs == ("x",)
    assert sorted([found["twice"].parameters, found["twice_1"].parameters]) == [0, 20]
    assert set(found["add"].inputs) == {"twice", "twice_1"}


@pytest.mark.tensorflow
def test_loading_is_silent(saved):
    names = [str(saved / name) for name in ("k3.keras", "k2.h5")]
    code = f"from pipeline.load import load_model; [load_model(name) for name in {names}]"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["ad01.h5", "pretrainedResnet.h5"])
def test_mlperf_tiny_keras_2_files(shared, name):
    model = load_model(shared / "models" / "mlperf_tiny" / name)
    assert isinstance(model, FloatModel)
    assert model.api == "tf_keras"
    assert model.input_shape == {"ad01.h5": (640,), "pretrainedResnet.h5": (32, 32, 3)}[name]


@pytest.mark.parametrize("name", ["ad01_int8", "kws_ref_model", "pretrainedResnet_quant"])
def test_mlperf_tiny_tflite_files(shared, name):
    model = load_model(shared / "models" / "mlperf_tiny" / f"{name}.tflite")
    assert isinstance(model, TfliteModel)
    assert [spec.dtype for spec in (*model.inputs, *model.outputs)] == ["int8", "int8"]
    assert model.name == name
