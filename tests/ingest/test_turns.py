"""Files take turns: so many at once, nobody waits for ever, and who fails gives back what it had."""

import threading
import time

import pytest

from ingest.sources.turns import Turn, turns_of_process


def test_no_more_work_at_once_than_there_are_turns():
    turns, lock = threading.Semaphore(2), threading.Lock()
    working, most, done = 0, 0, []

    def read(number: int) -> None:
        nonlocal working, most
        with Turn(turns, patience_s=60) as turn:
            for _ in range(4):
                turn.again()
                with lock:
                    working += 1
                    most = max(most, working)
                time.sleep(0.005)
                with lock:
                    working -= 1
        done.append(number)

    readers = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(30)
    assert sorted(done) == list(range(6))
    assert most == 2


def test_who_gets_no_turn_goes_on_after_a_while_and_gives_none_back():
    turns = threading.Semaphore(1)
    with Turn(turns, patience_s=60) as first, Turn(turns, patience_s=0.05) as second:
        first.again()
        second.again()
        assert first.mine
        assert not second.mine
    assert turns.acquire(blocking=False)
    assert not turns.acquire(blocking=False)


def test_a_turn_is_given_back_when_reading_fails():
    turns = threading.Semaphore(1)

    def read() -> None:
        with Turn(turns, patience_s=60) as turn:
            turn.again()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        read()
    assert turns.acquire(blocking=False)


def test_all_files_of_a_process_share_its_turns():
    assert turns_of_process() is turns_of_process()
