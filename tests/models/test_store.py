"""A product on disk: what was saved comes back to the last bit, and nothing damaged reaches LightGBM."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.errors import ModelError
from models import boosters
from models.golden import PAIRS, Golden
from models.product import Product
from models.store import MANIFEST, content_hash, write
from tests.models.drawn import Drawn


@pytest.fixture
def product(product: Product) -> Product:
    """With a ranker, whether one was earned or not."""
    boosters = dict(product.stack.boosters)
    made = replace(product, stack=replace(product.stack, boosters=boosters | {"ranker": boosters["accept"]}))
    assert made.golden is not None
    return replace(made, golden=Golden.of(made.golden.pairs(made.contract), made.predict))


@pytest.fixture
def saved(product: Product, tmp_path: Path) -> Path:
    product.save(tmp_path / "model")
    return tmp_path / "model"


def test_a_product_comes_back_to_the_last_bit(product: Product, saved: Path, later: Drawn, tmp_path: Path) -> None:
    again = Product.load(saved, expected=product.content_hash)
    for name in ("score", "p_accept", "p_convert"):
        mine, theirs = getattr(product.predict(later.matrix), name), getattr(again.predict(later.matrix), name)
        np.testing.assert_array_equal(mine, theirs)
    rows = later.matrix.take(np.arange(20))
    np.testing.assert_array_equal(product.contributions(rows).values, again.contributions(rows).values)
    assert again.content_hash == product.content_hash
    assert again.card == product.card
    again.save(tmp_path / "copy")
    for path in saved.iterdir():
        assert (tmp_path / "copy" / path.name).read_bytes() == path.read_bytes()


def test_it_is_text_and_json_without_a_trace_of_threads(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {
        "product.json", "golden.json", "accept.txt", "convert.txt", "ranker.txt", MANIFEST,
    }  # fmt: skip
    for path in saved.iterdir():
        assert "num_threads" not in path.read_bytes().decode("utf-8")


def test_what_loads_a_model_imports_no_scikit_learn_and_leaves_it_to_others() -> None:
    code = """
import sys
import models.product
assert "sklearn" not in sys.modules
from sklearn.linear_model import LogisticRegression
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_loading_unpickles_nothing(saved: Path) -> None:
    seen: list[str] = []
    sys.addaudithook(lambda event, _: seen.append(event) if event == "pickle.find_class" else None)
    Product.load(saved)
    assert seen == []


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def zero(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(50) + content[150:])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def link(path: Path) -> None:
    target = path.parent.parent / "elsewhere"
    target.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(target)


FILES = ("product.json", "golden.json", "accept.txt", "convert.txt", "ranker.txt")
HARMS = (truncate, flip, zero, empty, remove)


@pytest.mark.parametrize(
    ("name", "harm"),
    # A manifest may end in white space, and where it lies says nothing.
    [*itertools.product((*FILES, MANIFEST), HARMS), *itertools.product(FILES, (grow, link))],
)
def test_a_damaged_file_is_refused_before_lightgbm(
    saved: Path, name: str, harm: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []  # what is raised there would be a ModelError, too
    monkeypatch.setattr(boosters.lgb, "Booster", lambda **told: given.append(told))
    harm(saved / name)
    with pytest.raises(ModelError):
        Product.load(saved)
    assert given == []


def test_swapped_added_and_foreign_files_are_refused(saved: Path, product: Product) -> None:
    accept, convert = saved / "accept.txt", saved / "convert.txt"
    a, b = accept.read_bytes(), convert.read_bytes()
    accept.write_bytes(b)
    convert.write_bytes(a)
    with pytest.raises(ModelError, match=r"(accept|convert)\.txt"):
        Product.load(saved)
    accept.write_bytes(a)
    convert.write_bytes(b)
    with pytest.raises(ModelError, match="not the 000000000000"):
        Product.load(saved, expected="0" * 64)
    (saved / "evil.pkl").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"evil\.pkl, unlisted"):
        Product.load(saved)
    with pytest.raises(ModelError, match=r"evil\.pkl"):
        product.save(saved)


@pytest.mark.parametrize("name", ["../product.json", "/etc/passwd", ".hidden", "a/b"])
def test_a_manifest_names_plain_files_only(saved: Path, name: str) -> None:
    manifest = json.loads((saved / MANIFEST).read_text())
    manifest["files"][name] = manifest["files"]["product.json"]
    (saved / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="manifest is damaged"):
        Product.load(saved)


def leaves_moved(files: dict[str, bytes]) -> dict[str, bytes]:
    """One digit of one leaf of each tree, and as many bytes as before: LightGBM loads them and answers."""
    trees = re.sub(rb"(leaf_value=\S*?[1-8])", lambda m: m[1][:-1] + bytes([m[1][-1] + 1]), files["accept.txt"])
    return files | {"accept.txt": trees}


def slopes_moved(files: dict[str, bytes]) -> dict[str, bytes]:
    model = json.loads(files["product.json"])
    model["heads"]["accept"]["slopes"][0] *= 1 + 1e-9
    return files | {"product.json": json.dumps(model).encode()}


def golden_moved(files: dict[str, bytes]) -> dict[str, bytes]:
    """As on a machine whose libraries give other numbers."""
    pairs = json.loads(files["golden.json"])
    pairs[7][1][0] += 1e-9
    return files | {"golden.json": json.dumps(pairs).encode()}


@pytest.mark.parametrize("moved", [leaves_moved, slopes_moved, golden_moved])
def test_a_model_that_scores_otherwise_than_when_it_was_made_is_refused_though_its_hash_is_right(
    product: Product, moved: Callable[[dict[str, bytes]], dict[str, bytes]], tmp_path: Path
) -> None:
    files = moved(product.files)
    write(files, tmp_path / "other")
    assert Product.of_files(files).predict(product.golden.pairs(product.contract)) is not None  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=rf"scores otherwise than when it was made: .* of {PAIRS} differ"):
        Product.load(tmp_path / "other", expected=content_hash(files))


def test_golden_pairs_are_within_the_data_and_none_of_it(product: Product, train: Drawn, calibrate: Drawn) -> None:
    golden, seen = product.golden, np.concatenate([train.matrix.values, calibrate.matrix.values])
    assert golden is not None
    again = Golden.of_json(golden.as_json())
    np.testing.assert_array_equal(again.values, golden.values)
    np.testing.assert_array_equal(again.said.score, golden.said.score)
    assert len(np.unique(golden.said.score)) > PAIRS // 2
    for column, values in enumerate(golden.values.T):
        assert set(values[~np.isnan(values)]) <= set(seen[:, column])
    assert not any((np.nan_to_num(seen, nan=-1) == np.nan_to_num(pair, nan=-1)).all(1).any() for pair in golden.values)


@pytest.mark.parametrize("change", [{"format": 2}, {"columns": None}, {"vocabulary": 3}])
def test_whole_files_of_another_kind_are_no_model(product: Product, tmp_path: Path, change: dict[str, object]) -> None:
    model = json.loads(product.files["product.json"])
    model["card"] |= change
    write(product.files | {"product.json": json.dumps(model).encode()}, tmp_path / "other")
    with pytest.raises(ModelError, match=r"format 2.* reads format 3: train it again" if "format" in change else None):
        Product.load(tmp_path / "other")


def test_the_content_hash_is_over_names_and_bytes() -> None:
    files = {"a": b"1", "b": b"2"}
    assert content_hash(files) == content_hash(dict(reversed(files.items())))
    assert len({content_hash(f) for f in (files, {"a": b"2", "b": b"1"}, {"a": b"1"}, {"a": b"1", "c": b"2"})}) == 4


def test_no_folder_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model"):
        Product.load(tmp_path / "nowhere")
