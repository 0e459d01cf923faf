"""What every EvidenceStore promises: whole or not at all, by content, sealed apart."""

from __future__ import annotations

import errno
import hashlib
import os
import stat

import pytest

from api.errors import EvidenceMismatch, OutOfSpace, TooLarge, Unacceptable
from api.evidence import EvidenceFile, open_evidence

DATA = b"\xff\xd8\xff" + bytes(range(256)) * 4000
SHA256 = hashlib.sha256(DATA).hexdigest()
LIMIT = 10_000_000


def chunks(data=DATA, size=65536):
    return (data[at : at + size] for at in range(0, len(data), size))


class InMemory:
    """The fake: ten lines that keep every promise but durability."""

    def __init__(self):
        self.files = {}

    def put(self, sha256, media_type, chunks, *, sealed, limit_bytes):
        data = b"".join(chunks)
        if len(data) > limit_bytes:
            raise TooLarge("too large")
        if not data or hashlib.sha256(data).hexdigest() != sha256:
            raise EvidenceMismatch(f"announced as {sha256}")
        created = self.files.setdefault((sha256, sealed), (media_type, data)) == (media_type, data)
        return EvidenceFile(sha256, media_type, len(data), sealed, created)

    def find(self, sha256, *, sealed):
        media_type, data = self.files.get((sha256, sealed), ("", b""))
        return EvidenceFile(sha256, media_type, len(data), sealed) if data else None

    def read(self, file, start, stop):
        yield self.files[file.sha256, file.sealed][1][start:stop]


@pytest.fixture(params=["folder", "in_memory"])
def store(request, tmp_path):
    return InMemory() if request.param == "in_memory" else open_evidence("folder", str(tmp_path / "evidence"))


def put(store, data=DATA, sha256=SHA256, *, sealed=False, limit=LIMIT):
    return store.put(sha256, "image/jpeg", chunks(data), sealed=sealed, limit_bytes=limit)


def test_what_goes_in_comes_out(store):
    file = put(store)
    assert (file.size_bytes, file.created) == (len(DATA), True)
    found = store.find(SHA256, sealed=False)
    assert (found.media_type, found.size_bytes) == ("image/jpeg", len(DATA))
    assert b"".join(store.read(found, 0, len(DATA))) == DATA
    assert b"".join(store.read(found, 100, 1100)) == DATA[100:1100]


def test_sealed_and_public_are_apart(store):
    put(store, sealed=True)
    assert store.find(SHA256, sealed=False) is None
    assert store.find(SHA256, sealed=True).sealed


@pytest.mark.parametrize(
    ("data", "limit", "error"),
    [
        (DATA[:-1], LIMIT, EvidenceMismatch),
        (DATA + b"x", LIMIT, EvidenceMismatch),
        (b"", LIMIT, EvidenceMismatch),
        (DATA, len(DATA) - 1, TooLarge),
    ],
)
def test_what_is_wrong_is_not_stored(store, data, limit, error):
    with pytest.raises(error):
        put(store, data, limit=limit)
    assert store.find(SHA256, sealed=False) is None


def test_a_sender_that_goes_away_leaves_nothing(store):
    def broken():
        yield DATA[:1000]
        raise ConnectionAbortedError

    with pytest.raises(Exception):  # noqa: B017 - whatever the store makes of it
        store.put(SHA256, "image/jpeg", broken(), sealed=False, limit_bytes=LIMIT)
    assert store.find(SHA256, sealed=False) is None


# -- the folder alone --


@pytest.fixture
def folder(tmp_path):
    return open_evidence("folder", str(tmp_path / "evidence"))


def files_in(root):
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_storing_twice_is_storing_once(folder, tmp_path):
    assert put(folder).created
    assert not put(folder).created
    assert len(files_in(tmp_path)) == 1
    with pytest.raises(EvidenceMismatch):
        put(folder, b"other")


def test_the_sealed_side_is_for_this_user_alone(folder, tmp_path):
    put(folder, sealed=True)
    assert stat.S_IMODE((tmp_path / "evidence" / "sealed").stat().st_mode) == 0o700
    (file,) = files_in(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "name", ["../" * 3 + "etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", "", "..", "0" * 65]
)
def test_only_hashes_are_names(folder, name):
    for sealed in (False, True):
        with pytest.raises(Unacceptable, match="is no sha256"):
            folder.find(name, sealed=sealed)
        with pytest.raises(Unacceptable):
            put(folder, sha256=name, sealed=sealed)


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_leaves_nothing(folder, tmp_path, monkeypatch, call):
    real, calls = getattr(os, call), []

    def full(*args):
        calls.append(args)
        if len(calls) > 3 or call == "fsync":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args)

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OutOfSpace, match="no space is left for evidence"):
        put(folder)
    monkeypatch.undo()
    assert files_in(tmp_path) == []
    assert put(folder).created


def test_what_a_killed_process_left_is_removed(folder, tmp_path):
    left = tmp_path / "evidence" / "incoming" / "999999999-abc"
    left.write_bytes(b"half")
    open_evidence("folder", str(tmp_path / "evidence"))
    assert not left.exists()
