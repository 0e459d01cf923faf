"""What goes wrong in one look does not end the supervisor."""

from __future__ import annotations

import logging

import pytest

from detector.errors import Failure
from ingest.fleet import supervising
from ingest.fleet.supervising import Supervising
from tests.ingest.fleet.sites import eventually


class Stumbling(Supervising):
    def __init__(self, begin=lambda: None):
        super().__init__("stumbling")
        self.begin, self.looks, self.ended = begin, 0, 0

    def _begin(self):
        self.begin()

    def _look_after_all(self):
        self.looks += 1
        if self.looks == 1:
            raise Failure("the folder is gone.")
        if self.looks == 2:
            raise ValueError("a bug")

    def _end(self):
        self.ended += 1


def test_it_goes_on_and_says_what_was_wrong(monkeypatch, caplog):
    monkeypatch.setattr(supervising, "TICK_S", 0.01)
    caplog.set_level(logging.ERROR)
    with Stumbling() as one:
        eventually(lambda: one.looks > 5)
    assert [(row.getMessage(), row.exc_info is not None) for row in caplog.records] == [
        ("the folder is gone.", False),
        ("the supervisor stumbled; it goes on", True),
    ]
    assert one.ended == 1
    looks = one.looks
    assert not one._thread.is_alive()
    assert one.looks == looks


def test_what_could_not_begin_is_ended():
    def begin():
        raise Failure("there is no model.")

    one = Stumbling(begin)
    with pytest.raises(Failure, match="no model"), one:
        raise AssertionError("it did not begin")
    assert (one.looks, one.ended) == (0, 1)
