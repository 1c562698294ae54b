"""Reading samples: every source, every way in which they can be wrong, and the order of sources."""

from __future__ import annotations

import contextlib
import pickle
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UsageError
from pipeline.load import (
    FloatLayer,
    FloatModel,
    Preprocessing,
    TensorSpec,
    TfliteModel,
    cifar10,
    declare_preprocessings,
    load_samples,
    random_samples,
)
from pipeline.load.samples import spread

RNG = np.random.default_rng(5)


def float_model(shape=(8, 8, 3), outputs=4, first="Conv2D", name="net", folder=Path(".")):
    """Without weights: loading samples reads the description only (`saved_model`: no batch norm to ask)."""
    first_layer = FloatLayer(first, first, ("input",), (shape,), shape, {}, 0)
    return FloatModel(
        name,
        folder / f"{name}.keras",
        "",
        "",
        "saved_model",
        (first_layer,),
        (TensorSpec("input", shape),),
        (TensorSpec(first, (outputs,)),),
        None,
    )


def int8_model(scale=1.0, zero_point=-128, shape=(8, 8, 3)):
    spec = TensorSpec("x", shape, "int8", scale, zero_point)
    return TfliteModel("net", Path("net.tflite"), "", b"", (spec,), (TensorSpec("y", (4,), "int8"),))


def images(count=6, shape=(8, 8, 3)):
    return RNG.integers(0, 256, (count, *shape), np.uint8)


def npz(folder, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def refusal(*arguments, **options):
    with pytest.raises(UsageError) as caught:
        load_samples(*arguments, **options)
    return caught.value


# --- sources -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("x_test", "y_test"), ("images", "labels"), ("X", "Y")])
def test_npz_under_usual_keys(tmp_path, x, y):
    held, labels = images(), np.arange(6)[:, None] % 4
    found = load_samples(float_model(), npz(tmp_path, **{x: held, y: labels}, classes=list("abcd")))
    np.testing.assert_allclose(found.x, held / np.float32(255), rtol=1e-6)
    assert found.x.dtype == np.float32
    assert found.labels.tolist() == [0, 1, 2, 3, 0, 1]
    assert found.classes == ("a", "b", "c", "d")
    assert found.origin == "data.npz"
    assert not found.offline
    assert found.calibration is None
    np.testing.assert_array_equal(found.to_calibrate(3), found.x[[0, 2, 4]])


def test_npz_with_both_sets_calibrates_with_the_training_set(tmp_path):
    test, training = images(3), images(700)
    path = npz(tmp_path, x_train=training, y_train=np.zeros(700), x_test=test, y_test=np.zeros(3, int))
    found = load_samples(float_model(), path)
    assert len(found) == 3
    assert len(found.to_calibrate()) == 500
    np.testing.assert_allclose(found.to_calibrate()[0], training[0] / np.float32(255), rtol=1e-6)


def test_a_single_array_under_any_name(tmp_path):
    assert len(load_samples(float_model(), npz(tmp_path, whatever=images()))) == 6


def test_unknown_keys_are_listed(tmp_path):
    error = refusal(float_model(), npz(tmp_path, foo=images(), bar=images()))
    assert error.code == "E_SAMPLES_FORMAT"
    assert "foo" in error.problem


def test_npy_and_floats_pass_as_they_are(tmp_path):
    x = RNG.normal(size=(5, 8, 8, 3))
    np.save(tmp_path / "x.npy", x)
    found = load_samples(float_model(), tmp_path / "x.npy")
    np.testing.assert_array_equal(found.x, x.astype(np.float32))
    assert found.labels is None


def test_limit_keeps_an_even_spread(tmp_path):
    x = RNG.random((10, 8, 8, 3))
    found = load_samples(float_model(), npz(tmp_path, x=x, y=np.arange(10) % 4), limit=3)
    np.testing.assert_array_equal(found.x, x[[0, 3, 6]].astype(np.float32))
    assert found.labels.tolist() == [0, 3, 2]
    assert found.take(2).labels.tolist() == [0, 3]


def test_spread_has_no_double_and_stays_inside():
    for length in range(1, 40):
        for count in range(1, 45):
            chosen = spread(length, count)
            assert len(set(chosen.tolist())) == min(length, count)
            assert 0 <= chosen.min() <= chosen.max() < length


def draw(path, colour, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def test_class_folders_of_images(tmp_path):
    draw(tmp_path / "cat" / "1.png", (255, 0, 0))
    draw(tmp_path / "dog" / "1.png", (0, 255, 0))
    draw(tmp_path / "dog" / "2.png", (0, 0, 255))
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    found = load_samples(float_model(outputs=2), tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.labels.tolist() == [0, 1, 1]
    assert found.x[:, 0, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_a_flat_folder_of_images_has_no_labels(tmp_path):
    draw(tmp_path / "b.png", (9, 9, 9))
    draw(tmp_path / "a.png", (255, 255, 255))
    found = load_samples(float_model(shape=(8, 8, 1)), tmp_path)
    assert found.labels is None
    assert found.x[:, 0, 0, 0].tolist() == pytest.approx([1, 9 / 255])


def test_images_of_another_size(tmp_path):
    draw(tmp_path / "a.png", (255, 0, 0), size=(16, 16))
    draw(tmp_path / "b.png", (0, 0, 0), size=(8, 8))
    error = refusal(float_model(), tmp_path)
    assert error.code == "E_SAMPLES_SHAPE"
    assert "16 x 16" in error.problem
    assert "resize=yes" in error.hint
    scaled = load_samples(
        float_model(), tmp_path, declared={"input": Preprocessing(scale=1 / 255, resize=True)}
    )
    assert scaled.x.shape == (2, 8, 8, 3)


def test_a_damaged_image_is_named(tmp_path):
    draw(tmp_path / "a.png", (255, 0, 0))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    error = refusal(float_model(), tmp_path)
    assert error.code == "E_SAMPLES_DAMAGED"
    assert "a.png" in error.where


# --- CIFAR-10 ------------------------------------------------------------------------------------


def cifar_folder(folder, names=("test_batch", "data_batch_1"), count=20):
    folder.mkdir(parents=True)
    for name in names:
        content = {
            b"data": RNG.integers(0, 256, (count, 3072), np.uint8),
            b"labels": [i % 10 for i in range(count)],
            b"batch_label": b"one",
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def test_cifar_folder(tmp_path):
    folder = cifar_folder(tmp_path / "cifar-10-batches-py")
    raw = pickle.loads((folder / "test_batch").read_bytes())[b"data"]
    for named in (folder, tmp_path):
        found = load_samples(float_model(shape=(32, 32, 3), outputs=10), named)
        # one image is 1024 red, then green, then blue values, row by row
        assert found.x[3, 5, 7].tolist() == pytest.approx(
            [raw[3, c * 1024 + 5 * 32 + 7] / 255 for c in range(3)]
        )
        assert found.labels.tolist()[:11] == [*range(10), 0]
        assert found.classes[3] == "cat"
        assert len(found.calibration) == 20


def test_a_batch_file_of_python_2(tmp_path):
    """As distributed: pickled by Python 2, where NumPy's module was `numpy.core`."""
    folder = cifar_folder(tmp_path / "cifar-10-batches-py")
    path = folder / "test_batch"
    content = path.read_bytes()
    assert b"numpy._core.multiarray" in content
    path.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert len(load_samples(float_model(shape=(32, 32, 3), outputs=10), folder)) == 20


class Bomb:
    def __reduce__(self):
        return (Path("exploded").touch, ())


def test_a_batch_file_cannot_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = cifar_folder(tmp_path / "cifar-10-batches-py")
    (folder / "test_batch").write_bytes(pickle.dumps({b"data": Bomb(), b"labels": []}))
    assert refusal(float_model(shape=(32, 32, 3), outputs=10), folder).code == "E_SAMPLES_DAMAGED"
    assert not Path("exploded").exists()


@pytest.mark.parametrize("name", ["cifar-10-batches-py-target/cifar-10-batches-py", "cifar-10-batches-py"])
def test_the_cache_of_keras_is_found(tmp_path, monkeypatch, name):
    cifar_folder(tmp_path / "datasets" / name)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    model = float_model(shape=(32, 32, 3), outputs=10, name="cifar10_cnn")
    found = load_samples(model)
    assert found.origin == "CIFAR-10 (keras.datasets.cifar10)"
    assert not found.offline


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A model with an offline set beside it, on a machine without data and network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "nothing"))

    def no_network(request, timeout):
        raise OSError("no network")

    monkeypatch.setattr(cifar10.urllib.request, "urlopen", no_network)
    x = images(12, (32, 32, 3))
    np.savez(tmp_path / "cifar10_cnn_samples.npz", x=x, y=np.zeros(12), origin="made from the network")
    return float_model(shape=(32, 32, 3), outputs=10, name="cifar10_cnn", folder=tmp_path)


def test_without_data_the_offline_set_serves(offline):
    found = load_samples(offline)
    assert found.offline
    assert found.origin == "made from the network"
    assert found.labels is None  # what an image was made for is no truth to measure accuracy with
    assert len(found) == 12


def test_a_network_that_never_answers_costs_seconds(offline, monkeypatch):
    def silent(request, timeout):
        time.sleep(60)
        raise TimeoutError

    monkeypatch.setattr(cifar10.urllib.request, "urlopen", silent)
    monkeypatch.setattr(cifar10, "CONNECT_TIMEOUT_S", 0.3)
    start = time.monotonic()
    assert load_samples(offline).offline
    assert time.monotonic() - start < 5


def test_a_download_that_fails_leaves_the_offline_set(offline, monkeypatch, capfd):
    monkeypatch.setattr(cifar10.urllib.request, "urlopen", lambda request, timeout: contextlib.closing(None))
    monkeypatch.setattr(cifar10, "_reachable", lambda: True)

    class Datasets:
        class cifar10:  # noqa: N801
            @staticmethod
            def load_data():
                print("Downloading data from ...")
                raise OSError("reset by peer")

    monkeypatch.setattr(cifar10, "import_keras", lambda: type("K", (), {"datasets": Datasets}))
    steps = []
    assert load_samples(offline, progress=lambda *step: steps.append(step)).offline
    assert "downloading" in steps[0][0]
    assert capfd.readouterr().out == ""


def test_the_users_file_comes_first(offline, tmp_path):
    found = load_samples(offline, npz(tmp_path, x=images(3, (32, 32, 3))))
    assert len(found) == 3
    assert not found.offline


def test_without_any_samples(tmp_path):
    error = refusal(float_model(folder=tmp_path))
    assert error.code == "E_SAMPLES_MISSING"
    assert "(N, 8, 8, 3)" in error.hint


# --- refusals ------------------------------------------------------------------------------------


def test_a_missing_file_names_the_nearest(tmp_path):
    npz(tmp_path, x=images())
    error = refusal(float_model(), tmp_path / "date.npz")
    assert error.code == "E_SAMPLES_MISSING"
    assert "data.npz" in error.hint


@pytest.mark.parametrize(
    ("arrays", "code", "says"),
    [
        ({"x": images(4, (9, 9, 3))}, "E_SAMPLES_SHAPE", "(4, 9, 9, 3), expected (N, 8, 8, 3)"),
        ({"x": images(4, (8, 8, 3))[:0]}, "E_SAMPLES_SHAPE", "at least one"),
        ({"x": images(4)[0, 0, 0, 0]}, "E_SAMPLES_SHAPE", "()"),
        ({"x": np.full((4, 8, 8, 3), "a")}, "E_SAMPLES_DTYPE", "expected float32 or uint8"),
        ({"x": RNG.random((4, 8, 8, 3)) + 1j}, "E_SAMPLES_DTYPE", "complex"),
        ({"x": np.array([None, 1], object)}, "E_SAMPLES_DTYPE", "objects"),
        ({"x": RNG.normal(0, 1e9, (4, 8, 8, 3))}, "E_SAMPLES_RANGE", "no network"),
        ({"x": np.full((4, 8, 8, 3), 0.5)}, "E_SAMPLES_RANGE", "expected data that vary"),
        ({"x": images().astype(np.float32)}, "E_SAMPLES_RANGE", "whole numbers"),
        ({"x": images().astype(np.int16) * 100}, "E_SAMPLES_RANGE", "expected 0 to 255"),
        ({"x": images(), "y": np.arange(5)}, "E_SAMPLES_LABELS", "expected (6,)"),
        ({"x": images(), "y": np.arange(6)}, "E_SAMPLES_LABELS", "expected 0 to 3"),
        ({"x": images(), "y": np.arange(6) - 1}, "E_SAMPLES_LABELS", "from -1"),
        ({"x": images(), "y": np.full(6, 0.5)}, "E_SAMPLES_LABELS", "whole numbers"),
        ({"x": images(), "y": np.full(6, np.nan)}, "E_SAMPLES_LABELS", "whole numbers"),
        ({"x": images(), "y": RNG.random((6, 4))}, "E_SAMPLES_LABELS", "one-hot"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arrays_that_cannot_be_right(tmp_path, arrays, code, says):
    error = refusal(float_model(), npz(tmp_path, **arrays))
    assert error.code == code
    assert says in error.problem


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity(tmp_path, bad):
    x = RNG.random((5, 8, 8, 3))
    x[3, 2, 1, 0] = bad
    error = refusal(float_model(), npz(tmp_path, x=x))
    assert error.code == "E_SAMPLES_NAN"
    assert "1 of 5" in error.problem
    assert "sample 3" in error.problem


def test_channels_first_is_recognized(tmp_path):
    assert "transpose" in refusal(float_model(), npz(tmp_path, x=images(4, (3, 8, 8)))).hint


def test_a_file_that_is_no_array(tmp_path):
    for name in ("a.npz", "a.npy"):
        (tmp_path / name).write_bytes(b"text")
        assert refusal(float_model(), tmp_path / name).code in {"E_SAMPLES_DAMAGED", "E_SAMPLES_DTYPE"}
    whole = npz(tmp_path, x=images()).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    assert refusal(float_model(), tmp_path / "cut.npz").code == "E_SAMPLES_DAMAGED"
    (tmp_path / "a.csv").write_text("1,2")
    assert refusal(float_model(), tmp_path / "a.csv").code == "E_SAMPLES_FORMAT"


# --- shapes and labels that can be understood ----------------------------------------------------


def test_grey_images_without_a_channel_axis_and_a_single_sample(tmp_path):
    grey = float_model(shape=(8, 8, 1))
    assert load_samples(grey, npz(tmp_path, x=images(4, (8, 8)))).x.shape == (4, 8, 8, 1)
    assert load_samples(grey, npz(tmp_path, x=images(1, (8, 8, 1))[0])).x.shape == (1, 8, 8, 1)


def test_one_hot_labels(tmp_path):
    found = load_samples(float_model(), npz(tmp_path, x=images(3), y=np.eye(4)[[2, 0, 3]]))
    assert found.labels.tolist() == [2, 0, 3]


# --- preprocessing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Preprocessing()),
        ("scale=1/255", Preprocessing(scale=1 / 255)),
        ("scale=1/127.5, offset=-1", Preprocessing(scale=1 / 127.5, offset=-1)),
        ("channels=bgr,resize=yes", Preprocessing(bgr=True, resize=True)),
        ("scale=2e-3", Preprocessing(scale=0.002)),
    ],
)
def test_declared_preprocessing(text, expected):
    assert declare_preprocessings(text, ["input"]) == ({"input": expected} if text else {})
    assert declare_preprocessings(f"input: {text}", ["input", "other"]) == {"input": expected}


@pytest.mark.parametrize(
    "text", ["scale=", "scale=x", "scale=0", "scale=1/0", "scale=nan", "channels=cmyk", "a=1", "scale"]
)
def test_preprocessing_that_cannot_be_read(text):
    with pytest.raises(UsageError) as caught:
        declare_preprocessings(text, ["input"])
    assert caught.value.code == "E_PREPROCESSING"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("scale=1/255", "name each input once, as in image: scale=1/255; motion: scale=1/255"),
        ("imag: scale=1/255", "did you mean image?"),
        ("image: scale=1; image: scale=2", "name each input once"),
    ],
)
def test_of_several_inputs_a_formula_says_whose_it_is(text, hint):
    with pytest.raises(UsageError) as caught:
        declare_preprocessings(text, ["image", "motion"])
    assert caught.value.code == "E_PREPROCESSING"
    assert hint in caught.value.hint


def test_each_input_has_its_own_preprocessing(tmp_path):
    layer = FloatLayer("a", "Dense", ("image", "motion"), ((4,), (3,)), (2,), {}, 0)
    inputs = TensorSpec("image", (4,)), TensorSpec("motion", (3,))
    model = replace(float_model(), inputs=inputs, layers=(layer,))
    path = npz(tmp_path, image=images(6, (4,)), motion=RNG.normal(size=(6, 3)).astype(np.float32))
    declared = declare_preprocessings("motion: scale=1/16,offset=1", ["image", "motion"])
    found = load_samples(model, path, declared=declared)
    with np.load(path) as raw:
        np.testing.assert_allclose(found.x.arrays["image"], raw["image"] / 255, rtol=1e-6)
        np.testing.assert_allclose(found.x.arrays["motion"], raw["motion"] / 16 + 1, rtol=1e-6)


def test_preprocessing_is_applied_in_order():
    raw = np.array([[0, 128, 255]], np.uint8)
    found = Preprocessing(scale=2, offset=1, bgr=True).apply(raw)
    assert found.tolist() == [[511, 257, 1]]
    assert str(Preprocessing(scale=1 / 255)) == "x / 255"


def test_declared_bytes_in_floats_are_taken(tmp_path):
    path = npz(tmp_path, x=images().astype(np.float32))
    assert load_samples(float_model(), path, declared={"input": Preprocessing(scale=1 / 255)}).x.max() <= 1
    assert load_samples(float_model(), path, declared={"input": Preprocessing()}).x.max() > 200


def test_a_model_that_rescales_takes_bytes(tmp_path):
    found = load_samples(float_model(first="Rescaling"), npz(tmp_path, x=images()))
    assert found.x.max() > 200


@pytest.mark.parametrize(
    ("scale", "zero_point", "low", "high"),
    [(1.0, -128, 0, 255), (1 / 255, -128, 0, 1), (1 / 127.5, 0, -1, 1), (1.0, 0, -128, 127)],
)
def test_a_quantized_input_tells_its_preprocessing(tmp_path, scale, zero_point, low, high):
    x = images()
    x[0, 0, 0] = [0, 255, 0]
    found = load_samples(int8_model(scale, zero_point), npz(tmp_path, x=x))
    assert (found.x.min(), found.x.max()) == pytest.approx((low, high), abs=1e-6)


def test_samples_outside_a_quantized_input_are_refused(tmp_path):
    path = npz(tmp_path, x=RNG.random((4, 8, 8, 3)) * 255)
    assert refusal(int8_model(1 / 255), path).code == "E_SAMPLES_RANGE"
    tiny = npz(tmp_path, x=RNG.random((4, 8, 8, 3)))
    assert refusal(int8_model(1.0), tiny).code == "E_SAMPLES_RANGE"


def test_int8_samples_of_an_int8_model_are_its_integers(tmp_path):
    integers = RNG.integers(-128, 128, (3, 8, 8, 3)).astype(np.int8)
    found = load_samples(int8_model(0.5, 3), npz(tmp_path, x=integers))
    np.testing.assert_array_equal(found.x, (integers.astype(float) - 3) * 0.5)


def test_random_samples_reach_all_integers():
    found = random_samples(int8_model(0.5, 3), count=40)
    integers = found.x / 0.5 + 3
    assert (integers.min(), integers.max()) == (-128, 127)
    assert found.offline
    np.testing.assert_array_equal(found.x, random_samples(int8_model(0.5, 3), count=40).x)


# --- against what the model remembers ------------------------------------------------------------


@pytest.mark.tensorflow
def test_images_scaled_unlike_the_training_are_noticed(shared):
    """ResNet8 of MLPerf Tiny takes 0 to 255; divided by 255, it would calibrate to nonsense, silently."""
    from pipeline.load import load_model

    model = load_model(shared / "models" / "mlperf_tiny" / "pretrainedResnet.h5")
    data = shared / "data" / "cifar10" / "test.npz"
    error = refusal(model, data, limit=64)
    assert error.code == "E_SAMPLES_RANGE"
    assert "255 times" in error.hint
    assert error.hint.endswith("scale=1")
    raw = {spec.name: Preprocessing() for spec in model.inputs}
    assert len(load_samples(model, data, limit=64, declared=raw)) == 64


@pytest.mark.parametrize(
    ("raw", "of_bytes"),
    [
        (np.arange(32, dtype=np.uint8), True),
        (np.arange(0.0, 256.0, 8.0), True),
        (np.arange(0, 320, 10), False),
        (np.linspace(0, 1, 32), False),
        (np.arange(-16, 16), False),
        (np.arange(32) % 2.0, False),
    ],
    ids=["bytes", "bytes kept as floats", "beyond a byte", "real numbers", "below zero", "zeros and ones"],
)
def test_whether_samples_are_bytes_is_known(tmp_path, raw, of_bytes):
    np.save(tmp_path / "x.npy", raw.reshape(2, 4, 4, 1))
    samples = load_samples(
        float_model((4, 4, 1)), tmp_path / "x.npy", declared={"input": Preprocessing(scale=1 / 255)}
    )
    assert samples.preprocessing == Preprocessing(scale=1 / 255, of_bytes=of_bytes)


# --- several inputs ------------------------------------------------------------------------------


def two_inputs(folder=Path(".")):
    """An image of (8, 8, 3) and three readings."""
    model = float_model(folder=folder)
    return replace(model, inputs=(TensorSpec("image", (8, 8, 3)), TensorSpec("readings", (3,))))


def readings(count=6):
    return RNG.normal(size=(count, 3)).astype(np.float32)


def test_each_of_several_inputs_has_an_array_under_its_name(tmp_path):
    given = {"readings": readings(), "image": images(), "y": np.arange(6) % 4}
    samples = load_samples(two_inputs(), npz(tmp_path, **given))
    assert list(samples.x.arrays) == ["image", "readings"]
    np.testing.assert_allclose(samples.x.arrays["image"], given["image"] / 255, rtol=1e-6)
    np.testing.assert_array_equal(samples.x.arrays["readings"], given["readings"])
    np.testing.assert_array_equal(samples.labels, given["y"])
    assert {name: str(done) for name, done in samples.preprocessings.items()} == {
        "image": "x / 255",
        "readings": "as they are",
    }
    few = samples.take(2)
    assert (len(few), len(few.labels)) == (2, 2)
    np.testing.assert_array_equal(few.x.arrays["readings"], given["readings"][[0, 3]])
    assert len(samples.to_calibrate(4)) == 4


def test_missing_and_unknown_arrays_are_named_at_once(tmp_path):
    error = refusal(two_inputs(), npz(tmp_path, image=images(), reading=readings()))
    assert error.code == "E_SAMPLES_FORMAT"
    assert error.details == ("missing: readings: (N, 3)", "no such input: reading")
    assert "readings" in error.hint


def test_an_array_of_another_shape_is_named(tmp_path):
    error = refusal(two_inputs(), npz(tmp_path, image=images(), readings=readings()[:, :2]))
    assert error.code == "E_SAMPLES_SHAPE"
    assert error.where.endswith(": readings")
    assert "(6, 2), expected (N, 3)" in error.problem


def test_as_many_samples_of_each_input(tmp_path):
    error = refusal(two_inputs(), npz(tmp_path, image=images(), readings=readings(5)))
    assert error.code == "E_SAMPLES_SHAPE"
    assert error.details == ("image: 6 samples", "readings: 5 samples")


def test_several_inputs_need_an_archive(tmp_path):
    np.save(tmp_path / "x.npy", images())
    error = refusal(two_inputs(), tmp_path / "x.npy")
    assert error.code == "E_SAMPLES_FORMAT"
    assert error.details == ("image: (N, 8, 8, 3)", "readings: (N, 3)")


def test_labels_of_a_model_with_several_outputs_are_left_out(tmp_path):
    model = float_model()
    model = replace(model, outputs=(*model.outputs, TensorSpec("box", (4,))))
    samples = load_samples(model, npz(tmp_path, x=images(), y=np.arange(6) % 4))
    assert samples.labels is None
    assert "2 outputs" in samples.origin


def one_value(is_sigmoid):
    return replace(float_model(), outputs=(TensorSpec("person", (1,), is_sigmoid=is_sigmoid),))


def test_one_value_of_a_sigmoid_tells_two_classes_apart(tmp_path):
    data = {"x": images(), "y": np.arange(6) % 2, "classes": np.array(["nobody", "person"])}
    samples = load_samples(one_value(True), npz(tmp_path, **data))
    assert samples.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert samples.classes == ("nobody", "person")
    error = refusal(one_value(True), npz(tmp_path, x=images(), y=np.arange(6) % 3))
    assert error.code == "E_SAMPLES_LABELS"
    assert "0 to 1, as the model tells 2 classes apart" in str(error)


def test_labels_of_a_value_that_is_no_sigmoid_are_left_out(tmp_path):
    samples = load_samples(one_value(False), npz(tmp_path, x=images(), y=np.arange(6) % 2))
    assert samples.labels is None
    assert "names no class" in samples.origin


def test_random_inputs_fill_the_range_of_each(tmp_path):
    specs = (
        TensorSpec("a", (4000,), "int8", 0.5, 3),
        TensorSpec("b", (4000,), "uint8", 0.25, 100),
        TensorSpec("c", (4000,), "float32"),
    )
    model = replace(int8_model(), inputs=specs)
    x = random_samples(model, 2).x.arrays
    ends = {name: (float(array.min()), float(array.max())) for name, array in x.items()}
    assert ends == {
        "a": (-65.5, 62.0),
        "b": (-25.0, 38.75),
        "c": (-1.0, pytest.approx(127 / 128)),
    }
