from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.mining.choose import Candidate, Known, Weights, choose

relaxed = settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))


def candidate(name, *, scene="a", doubt=0.0, split=0.0, look=(1.0, 0.0), dhash=None):
    return Candidate(
        name, scene, doubt, split, np.array(look), hash(name) & (2**64 - 1) if dhash is None else dhash
    )


def names(candidates, picks):
    return [candidates[pick.index].name for pick in picks]


def spread(number):
    """Give a look and a dHash that no other number has."""
    angle = number * 0.7
    return {"look": (np.cos(angle), np.sin(angle)), "dhash": int(f"{number + 1:b}" * 12, 2) & (2**64 - 1)}


def test_the_most_doubtful_comes_first():
    pool = [candidate(f"p{n}", doubt=n / 10, **spread(n)) for n in range(5)]
    assert names(pool, choose(pool, 2, per_scene=5, weights=Weights(1, 0, 0))) == ["p4", "p3"]


def test_near_duplicates_of_the_chosen_and_the_known_are_left_out():
    pool = [
        candidate("a", doubt=1, dhash=0),
        candidate("b", doubt=0.9, dhash=1),
        candidate("c", dhash=2**40 - 1),
    ]
    assert names(pool, choose(pool, 3, per_scene=5)) == ["a", "c"]
    known = Known(np.zeros((0, 2)), (3,))
    assert names(pool, choose(pool, 3, per_scene=5, known=known)) == ["c"]


def test_what_is_like_the_known_is_worth_less():
    pool = [candidate("like", look=(1, 0), dhash=0), candidate("new", look=(0, 1), dhash=2**40 - 1)]
    known = Known(np.array([[1.0, 0.0]]))
    assert names(pool, choose(pool, 1, per_scene=5, known=known)) == ["new"]


def test_no_scene_takes_all():
    pool = [candidate(f"a{n}", scene="a", doubt=1, **spread(n)) for n in range(6)]
    pool += [candidate(f"b{n}", scene="b", doubt=0, **spread(n + 20)) for n in range(6)]
    picks = choose(pool, 6, per_scene=3)
    assert Counter(pool[pick.index].scene for pick in picks) == {"a": 3, "b": 3}


def test_an_empty_pool():
    assert choose([], 5, per_scene=1) == []


pools = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**64 - 1), st.floats(0, 6)
    ),
    min_size=1,
    max_size=12,
)


@relaxed
@given(pools, st.integers(1, 8), st.integers(1, 4), st.randoms())
def test_choosing_is_the_same_in_any_order_and_keeps_its_limits(rows, count, per_scene, random):
    pool = [
        candidate(
            f"{n:02d}", scene=scene, doubt=doubt, split=split, dhash=dhash, look=(np.cos(turn), np.sin(turn))
        )
        for n, (scene, doubt, split, dhash, turn) in enumerate(rows)
    ]
    picks = choose(pool, count, per_scene=per_scene)
    assert len({pick.index for pick in picks}) == len(picks) <= count
    assert max(Counter(pool[pick.index].scene for pick in picks).values()) <= per_scene
    assert all(0 <= pick.novelty <= 1 for pick in picks)
    for place, pick in enumerate(picks):
        earlier = [pool[other.index].dhash for other in picks[:place]]
        assert all((pool[pick.index].dhash ^ dhash).bit_count() > 4 for dhash in earlier)
    other = list(pool)
    random.shuffle(other)
    assert names(other, choose(other, count, per_scene=per_scene)) == names(pool, picks)
