"""Promotion is one line, for a version that is whole and not worse, and it can be taken back."""

from __future__ import annotations

import difflib
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kerbwatch
from detector.errors import Failure, WrongUse
from detector.registry import aliases, resolve
from training.promote import Change, _earlier, history, promote, roll_back
from training.release import INT8_FILES, model_toml

REGISTRY = '# who serves what\n[alias]\n"street@production" = "street@1"\n"street@trial" = "street@1"\n'
CARD = "# street\n\nLicence: AGPL-3.0-or-later\n"


def a_version(root: Path, version: int, card: str = CARD, **changed: float) -> Path:
    """Make street@version; `changed` gives the AP50 of classes, 0.8 where it says nothing."""
    folder = root / "street" / str(version)
    folder.mkdir(parents=True)
    (folder / "street.onnx").write_bytes(b"onnx")
    for name in INT8_FILES:
        (folder / name).write_bytes(b"int8")
    text = model_toml(folder, "street", version, ["person", "bin"], {"person": 0.3, "bin": 0.4}, "street-1")
    (folder / "model.toml").write_text(text)
    (folder / "card.md").write_text(card)
    rows = {name: a_row(changed.get(name, 0.8)) for name in ("person", "bin")}
    (folder / "metrics.json").write_text(json.dumps({"model": f"street@{version}", "classes": rows}))
    return folder


def a_row(ap50: float) -> dict[str, object]:
    low, high = round(ap50 - 0.1, 4), round(ap50 + 0.1, 4)
    return {"ap50": ap50, "ap50_low": low, "ap50_high": high, "n": 40, "pictures": 20, "sets": ["a", "b"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "registry.toml").write_text(REGISTRY)
    a_version(tmp_path, 1)
    a_version(tmp_path, 2)
    a_version(tmp_path, 3, person=0.65)
    return tmp_path


def means(root: Path, alias: str = "street@production") -> str:
    return aliases(root)[alias]


def test_promotion_changes_one_line_and_adds_what_was_done(root: Path) -> None:
    change = promote("street@2", root=root, reason='litter "0.57"')
    assert change is not None
    after = (root / "registry.toml").read_text()
    changed = [line for line in difflib.ndiff(REGISTRY.splitlines(), after.splitlines()) if line[0] in "+-"]
    assert changed == [
        '- "street@production" = "street@1"',
        '+ "street@production" = "street@2"',
        "+ ",
        "+ [[history]]",
        '+ alias = "street@production"',
        '+ from = "street@1"',
        '+ to = "street@2"',
        f'+ date = "{change.date}"',
        '+ reason = "litter \\"0.57\\""',
    ]
    assert datetime.fromisoformat(change.date).utcoffset() == timedelta(0)
    assert resolve("street@production", root).version == 2
    assert history(root) == [change]


def test_what_is_promoted_already_is_left_alone(root: Path) -> None:
    assert promote("street@1", root=root) is None
    assert promote("street@01", root=root) is None
    assert (root / "registry.toml").read_text() == REGISTRY


def test_a_worse_version_is_refused_with_class_and_figures(root: Path) -> None:
    with pytest.raises(
        Failure,
        match=r"street@3 is not promoted: person has AP50 0\.650, below the 0\.700 to 0\.900 of street@1\. .*--force",
    ):
        promote("street@3", root=root)
    assert (root / "registry.toml").read_text() == REGISTRY


def test_a_worse_version_may_be_a_canary(root: Path) -> None:
    promote("street@3", "canary", root=root)
    assert (means(root, "street@canary"), means(root)) == ("street@3", "street@1")


def test_force_needs_a_reason_and_keeps_it(root: Path) -> None:
    promote("street@3", root=root, force="persons are not watched here")
    assert means(root) == "street@3"
    assert history(root)[-1].reason == "forced: persons are not watched here"


@pytest.mark.parametrize("content", [None, "{}", "no json", '{"classes": {"bin": {"ap50": 0.3}}}', "[]"])
def test_without_figures_nothing_is_compared_and_nothing_promoted(root: Path, content: str | None) -> None:
    path = root / "street/2/metrics.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(Failure, match=r"metrics\.json.*so street@2 cannot be compared"):
        promote("street@2", root=root)
    promote("street@2", root=root, force="a fresh start")
    assert means(root) == "street@2"


def test_back_and_further_back(root: Path) -> None:
    a_version(root, 4)
    promote("street@2", root=root)
    promote("street@4", root=root)
    promote("street@4", "canary", root=root)  # another alias has a past of its own
    assert roll_back(root=root, reason="false alarms at the market").after == "street@2"
    assert roll_back(root=root).after == "street@1"
    with pytest.raises(Failure, match="names no version before street@1 for street@production"):
        roll_back(root=root)
    assert means(root) == "street@1"
    promote("street@4", root=root)
    assert roll_back(root=root).after == "street@1"
    assert [change.rollback for change in history(root)] == [False, False, False, True, True, False, True]
    assert means(root, "street@canary") == "street@4"


def test_a_canary_that_is_new_has_nothing_before_it(root: Path) -> None:
    promote("street@2", "canary", root=root)
    with pytest.raises(Failure, match="names no version before street@2 for street@canary"):
        roll_back(alias="canary", root=root)
    with pytest.raises(Failure, match="there is no alias street@staging"):
        roll_back(alias="staging", root=root)


def test_a_line_changed_by_hand_is_not_taken_back(root: Path) -> None:
    promote("street@2", root=root)
    path = root / "registry.toml"
    path.write_text(
        path.read_text().replace('"street@production" = "street@2"', '"street@production" = "street@3"')
    )
    with pytest.raises(Failure, match=r"changed by hand; promote the version you want by name"):
        roll_back(root=root)


def test_back_to_a_version_that_is_not_whole(root: Path) -> None:
    promote("street@2", root=root)
    (root / "street/1/street.onnx").write_bytes(b"other")
    with pytest.raises(Failure, match="not the published file"):
        roll_back(root=root)
    assert means(root) == "street@2"


@pytest.mark.parametrize("entry", ["[[history]]\nalias = 'a@b'\n", "[history]\na = 1\n"])
def test_a_history_that_cannot_be_read(root: Path, entry: str) -> None:
    with (root / "registry.toml").open("a") as file:
        file.write(entry)
    assert resolve("street@production", root).version == 1  # the runtime does not care
    with pytest.raises(WrongUse, match=r"a \[\[history\]\] entry lacks"):
        roll_back(root=root)


@given(steps=st.lists(st.sampled_from([1, 2, 3, 4, None]), max_size=12))
def test_rolling_back_is_undoing(steps: list[int | None]) -> None:
    """A stack of promotions is what any sequence of promotions and rollbacks comes to."""
    made, stack = list[Change](), [1]
    for step in steps:
        before = f"street@{stack[-1]}"
        if step is None:
            earlier = _earlier(made)
            assert earlier == (f"street@{stack[-2]}" if len(stack) > 1 else "")
            if earlier:
                stack.pop()
                made.append(Change("street@production", before, earlier, "", rollback=True))
        elif step != stack[-1]:
            stack.append(step)
            made.append(Change("street@production", before, f"street@{step}", ""))


def test_a_new_alias_adds_one_line(root: Path) -> None:
    promote("street@2", "canary", root=root)
    assert resolve("street@canary", root).version == 2
    added = (root / "registry.toml").read_text().removeprefix(REGISTRY).splitlines()
    assert added[:3] == ['"street@canary" = "street@2"', "", "[[history]]"]


def test_without_a_registry_file_one_is_made(root: Path) -> None:
    (root / "registry.toml").unlink()
    promote("street@2", root=root)
    assert resolve("street@production", root).version == 2


@pytest.mark.parametrize(
    ("ref", "alias"),
    [("street", "production"), ("street@x", "production"), ("street@1", "2"), ("street@1", "a b")],
)
def test_what_is_no_version_or_alias(root: Path, ref: str, alias: str) -> None:
    with pytest.raises(WrongUse):
        promote(ref, alias, root=root)
    assert (root / "registry.toml").read_text() == REGISTRY


def test_a_version_that_does_not_exist(root: Path) -> None:
    with pytest.raises(Failure, match="no model street@9"):
        promote("street@9", root=root)


@pytest.mark.parametrize("file", ["street.onnx", *INT8_FILES])
def test_a_changed_file_is_refused(root: Path, file: str) -> None:
    (root / "street/2" / file).write_bytes(b"other")
    with pytest.raises(Failure, match="not the published file"):
        promote("street@2", root=root)
    assert (root / "registry.toml").read_text() == REGISTRY


@pytest.mark.parametrize("card", [None, "# street\n", "# street\nLicence:\n"])
def test_a_card_without_a_licence_is_refused(root: Path, card: str | None) -> None:
    path = root / "street/2/card.md"
    path.unlink()
    if card is not None:
        path.write_text(card)
    with pytest.raises(Failure, match=r"card\.md"):
        promote("street@2", root=root)


def test_command_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERBWATCH_MODELS", str(root))
    assert kerbwatch.main(["promote", "street@2"]) == 0
    assert capsys.readouterr().out == "street@production = street@2 (was street@1)\n"
    assert kerbwatch.main(["promote", "street@2"]) == 0
    assert capsys.readouterr().out == "street@production = street@2 already\n"
    assert kerbwatch.main(["promote", "street@3"]) == 1
    assert "person has AP50" in capsys.readouterr().err
    assert kerbwatch.main(["promote", "street@3", "--alias", "canary"]) == 0
    assert capsys.readouterr().out == "street@canary = street@3\n"
    assert kerbwatch.main(["promote", "--rollback", "--reason", "too many alarms"]) == 0
    assert capsys.readouterr().out == "street@production = street@1 (was street@2)\n"
    assert kerbwatch.main(["promote", "street@7"]) == 1
    for wrong in (["street"], [], ["street@1", "--rollback"], ["--rollback", "--force", "x"]):
        assert kerbwatch.main(["promote", *wrong]) == 2
