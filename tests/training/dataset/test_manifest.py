"""dataset.toml: what is written is read back, what is wrong is one sentence."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.errors import Failure
from training.dataset.manifest import (
    Counts,
    Manifest,
    Source,
    SplitRule,
    counts_of,
    read_manifest,
    toml_of,
    with_counts,
)
from training.dataset.types import LabelledBox, Sample

ROOT = Path(__file__).resolve().parents[3]

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
counts = st.dictionaries(texts, st.integers(0, 10**6), max_size=3)
sources = st.builds(
    Source, folder=texts, title=texts, licence=texts, url=texts, used_for=texts, pictures=counts, ref=texts
)
manifests = st.builds(
    Manifest,
    name=texts,
    licence=texts,
    version=st.integers(1, 99),
    names=st.lists(texts, max_size=3).map(tuple),
    train_pictures=st.integers(0, 10**6),
    train=st.builds(
        Counts, boxes=counts, ignored=counts, origins=st.dictionaries(st.just("given"), st.integers(0, 9))
    ),
    split=st.none()
    | st.builds(
        SplitRule, by=st.just("scene"), seed=st.integers(0, 9), shares=st.just({"train": 0.85, "val": 0.15})
    ),
    class_map=st.dictionaries(texts, st.dictionaries(texts, texts, max_size=3), max_size=2),
    source=st.lists(sources, max_size=3).map(tuple),
)


@given(manifest=manifests)
@settings(max_examples=100, deadline=None)
def test_toml_says_what_the_manifest_says(manifest):
    assert Manifest.model_validate(tomllib.loads(toml_of(manifest))) == manifest


def test_the_manifests_in_the_checkout_are_read():
    for path in sorted(ROOT.glob("datasets/*/dataset.toml")):
        manifest = read_manifest(path)
        assert manifest.name == path.parent.name
        assert all(source.licence for source in manifest.source)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "a"', "dataset.toml: licence is missing; say under which licence"),
        ('name = "a"\nlicence = ""', "licence is missing"),
        (
            'name = "a"\nlicence = "CC0"\n[[source]]\nfolder = "x"\ntitle = "X"',
            "source.0.licence is missing",
        ),
        (
            'name = "a"\nlicence = "CC0"\nlicense = "CC0"',
            "there is no key 'license'; remove it or mend its spelling",
        ),
        ('name = "a"\nlicence = "CC0"\nversion = 0', "version: input should be greater than or equal to 1"),
        ("name = ", "is no TOML"),
    ],
)
def test_a_manifest_that_is_at_fault(text, said, tmp_path):
    (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(Failure, match=said):
        read_manifest(tmp_path / "dataset.toml")


def test_a_missing_manifest_is_one_sentence(tmp_path):
    with pytest.raises(Failure, match="cannot be read"):
        read_manifest(tmp_path / "dataset.toml")


def test_counts_tell_positives_from_ignored_regions_and_by_whom():
    box = LabelledBox("bin", (0, 0, 5, 5))
    guess = LabelledBox("car", (0, 0, 5, 5), "completed", score=0.6)
    unsure = LabelledBox("stall", (0, 0, 5, 5), ignore=True)
    samples = [
        Sample(Path("a"), (9, 9), (box, guess), "train", source="cams"),
        Sample(Path("b"), (9, 9), (unsure,), "val", source="cams"),
    ]
    found = counts_of(samples)
    assert found == Counts(
        boxes={"bin": 1, "car": 1}, origins={"given": 1, "completed": 1}, ignored={"stall": 1}
    )
    source = Source(folder="cams", title="Cameras", licence="own")
    manifest = with_counts(Manifest(name="a", licence="own", source=(source,)), samples)
    assert (manifest.train_pictures, manifest.val_pictures) == (1, 1)
    assert manifest.source[0].pictures == {"train": 1, "val": 1}
