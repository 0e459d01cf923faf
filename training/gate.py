"""May a version take over from another? Their metrics.json are compared, class by class. Pure.

A version is worse in a class when its AP50 lies below the 95 % interval of the version it would replace, on
the same val pictures; a class that it does not have any more is worse too. A class is comparable when both
measured it on the same lists with the same number of pictures and boxes. What cannot be compared does not
count for or against; where nothing can be compared, the answer is no.

The interval is wide where boxes are few: the gate keeps a real loss out and does not find small ones. It
takes the old version's interval alone: a loss inside it passes even where a paired comparison might show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Metrics = Mapping[str, Any]


def objections(old: Metrics, new: Metrics) -> list[str]:
    """Give a clause for every reason against `new` taking over from `old`; none means that it may.

    >>> row = {"ap50": 0.8, "ap50_low": 0.7, "ap50_high": 0.9, "n": 9, "pictures": 5, "sets": ["a"]}
    >>> old = {"model": "street@1", "classes": {"bin": row}}
    >>> objections(old, {"model": "street@2", "classes": {"bin": {**row, "ap50": 0.75}}})
    []
    >>> objections(old, {"model": "street@2", "classes": {"bin": {**row, "ap50": 0.6}}})
    ['bin has AP50 0.600, below the 0.700 to 0.900 of street@1']
    """
    mine = new["classes"]
    lost = [
        f"{name} is not among its classes (AP50 {row['ap50']:.3f} in {old['model']})"
        for name, row in old["classes"].items()
        if name not in mine
    ]
    compared = {name: row for name, row in old["classes"].items() if comparable(name, old, new)}
    if not compared:
        nothing = f"no class was measured on the same val pictures as in {old['model']}"
        return [*lost, f"{nothing}, so nothing can be compared"]
    worse = [
        f"{name} has AP50 {mine[name]['ap50']:.3f}, "
        f"below the {row['ap50_low']:.3f} to {row['ap50_high']:.3f} of {old['model']}"
        for name, row in compared.items()
        if mine[name]["ap50"] < row["ap50_low"]
    ]
    return [*lost, *worse]


def incomparable(old: Metrics, new: Metrics) -> list[str]:
    """Give the classes that both have but measured on different val pictures."""
    return [name for name in old["classes"] if name in new["classes"] and not comparable(name, old, new)]


def comparable(name: str, old: Metrics, new: Metrics) -> bool:
    """Tell whether both measured a class on the same val lists: same sets, pictures and boxes."""
    if name not in old["classes"] or name not in new["classes"]:
        return False
    one, other = old["classes"][name], new["classes"][name]
    return all(one[key] == other[key] for key in ("pictures", "n")) and set(one["sets"]) == set(other["sets"])
