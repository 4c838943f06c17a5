"""Damaged models by the hundred: the hash refuses each, and what gets past a hash kills its trial, not the worker."""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from features.errors import ModelError
from models import store
from serving.cache import ModelCache
from tests.serving.conftest import Crm
from tests.serving.test_ladder import mutations

#: What makes of a file of trees one on which LightGBM aborts the process that reads it.
FATAL = {
    "cut in half": lambda trees: trees[: len(trees) // 2],
    "more leaves than values": lambda trees: re.sub(rb"num_leaves=\d+", b"num_leaves=999999", trees),
    "splits on columns that it has not": lambda trees: re.sub(rb"split_feature=\d+", b"split_feature=9999999", trees),
}


@pytest.mark.parametrize("rounds", [30, pytest.param(500, marks=pytest.mark.faults)])
def test_every_damaged_model_is_refused_and_the_process_lives(crm: Crm, tmp_path: Path, rounds: int) -> None:
    product = crm.products[0]
    product.save(tmp_path / "source")
    sound = store.read(tmp_path / "source")
    cache, rng = ModelCache(tmp_path), random.Random(11)
    target, refused = cache.folder(product.content_hash), Counter[str]()
    target.parent.mkdir()
    while refused.total() < rounds:
        how = mutations(rng, tmp_path / "source", target)
        if "manifest" in how and undamaged(target, sound):
            continue  # white space around the manifest's JSON
        with pytest.raises(ModelError):
            cache.load(product.content_hash)
        refused[how.split()[0]] += 1
    shutil.rmtree(target)
    shutil.copytree(tmp_path / "source", target)
    assert cache.load(product.content_hash).content_hash == product.content_hash
    print(f"{rounds} damaged models: {rounds} refused, 0 crashes; {dict(sorted(refused.items()))}")


def undamaged(folder: Path, sound: dict[str, bytes]) -> bool:
    try:
        return store.read(folder) == sound
    except ModelError:
        return False


@pytest.mark.parametrize("how", FATAL)
def test_a_damaged_model_whose_hash_is_right_kills_its_trial_and_nobody_else(
    crm: Crm, tmp_path: Path, how: str
) -> None:
    """With the hash out of the way the crash is real; so it is the hash that refuses the others, before any trial."""
    files = dict(crm.products[0].files)
    files["accept.txt"] = FATAL[how](files["accept.txt"])
    forged = store.content_hash(files)
    store.write(files, tmp_path / "models" / forged)
    with pytest.raises(ModelError, match="failed its trial \\(signal"):
        ModelCache(tmp_path).load(forged)


def test_a_model_whose_hash_is_right_and_that_gives_other_numbers_is_refused_in_its_trial(
    crm: Crm, tmp_path: Path
) -> None:
    """One digit of one leaf of each tree: the trees load and answer, within all limits."""
    files = dict(crm.products[0].files)
    files["accept.txt"] = re.sub(
        rb"(leaf_value=\S*?)([1-8])", lambda m: m[1] + bytes([m[2][0] + 1]), files["accept.txt"]
    )
    forged = store.content_hash(files)
    store.write(files, tmp_path / "models" / forged)
    with pytest.raises(ModelError, match=r"failed its trial \(exit 1\): ModelError: The model scores otherwise"):
        ModelCache(tmp_path).load(forged)
