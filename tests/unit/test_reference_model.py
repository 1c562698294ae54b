"""What the project ships as its reference model: the file, the offline set, the card."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[2] / "models" / "cifar10_cnn"


def test_the_model_file_has_no_optimizer_state():
    path = FOLDER / "cifar10_cnn.keras"
    with zipfile.ZipFile(path) as archive:
        assert not json.loads(archive.read("config.json")).get("compile_config")
    assert path.stat().st_size < 1.05 * 4 * 1_344_042  # four bytes for each number that Keras counts


def test_the_offline_set_is_small_and_claims_no_truth():
    path = FOLDER / "cifar10_cnn_samples.npz"
    assert path.stat().st_size <= 300_000
    with np.load(path, allow_pickle=False) as archive:
        assert set(archive.files) == {"x", "classes", "origin"}
        assert archive["x"].dtype == np.uint8
        assert archive["x"].shape[0] >= 64
        assert archive["x"].shape[1:] == (32, 32, 3)
        assert len(archive["classes"]) == 10


def test_the_card_is_of_this_file_and_good_enough():
    card = (FOLDER / "README.md").read_text()
    assert hashlib.sha256((FOLDER / "cifar10_cnn.keras").read_bytes()).hexdigest() in card
    accuracies = [
        float(number) for number in re.findall(r"^\| (?:float32|int8)\b.*?\*\*([\d.]+)\*\*", card, re.M)
    ]
    assert len(accuracies) == 3
    assert accuracies[0] >= 0.87
    assert all(abs(accuracy - accuracies[0]) <= 0.002 for accuracy in accuracies[1:])
    # three confusion matrices over all 10,000 test images
    rows = re.findall(r"^\| \w+ ((?:\| \d+ ){10})\|$", card, re.M)
    counts = [[int(number) for number in row.replace("|", " ").split()] for row in rows]
    assert len(counts) == 30
    for model, accuracy in enumerate(accuracies):
        matrix = counts[10 * model : 10 * model + 10]
        assert [sum(row) for row in matrix] == [1000] * 10
        assert round(sum(matrix[i][i] for i in range(10)) / 10_000, 4) == accuracy
