"""What the documents say is there, and what is there is in the documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kerbwatch
from ingest.config import load_site
from ingest.types import ZoneKind

ROOT = Path(__file__).resolve().parents[2]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", kerbwatch.VERBS)
def test_every_verb_is_in_the_readme(verb):
    assert re.search(rf"\b{verb}\b", read("README.md"))


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_site_file_of_the_readme_loads_and_every_zone_kind_is_named(name, tmp_path):
    (block,) = re.findall(r"```toml\n(.*?)```", read(name), re.DOTALL) or re.findall(
        r" {3}```toml\n(.*?)```", read(name), re.DOTALL
    )
    path = tmp_path / "site.toml"
    path.write_text(block, encoding="utf-8")
    assert load_site(path).cameras[0].zones[0].dwell_s == 180
    assert all(f"`{kind}`" in read(name) for kind in ZoneKind)


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md"])
def test_files_named_in_the_documents_exist(name):
    for path in re.findall(
        r"`((?:api|detector|ingest|training|models|datasets|tests)/[\w./-]*\w)`", read(name)
    ):
        assert (ROOT / path).exists(), path


def test_no_document_or_code_names_a_path_of_one_machine():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("datasets/**/*.md"), *ROOT.glob("models/**/*.md")]:
        assert not re.search(r"(?<![\w.])/(?:work|opt|root|home)/", path.read_text(encoding="utf-8")), path
