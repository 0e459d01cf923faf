"""Who is analysed how often on a node of a cluster that has too much to do: max-min fair per node. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ingest.fleet.fair import Demand, Governor
from ingest.fleet.ray_plan import Group, Node

USABLE = 0.95
"""Share of a node's CPUs that its cameras may take together."""
SAME_FPS = 0.01


@dataclass(slots=True)
class Shares:
    """Rates of all cameras of a cluster, node by node; what was said once is not said again."""

    _governors: dict[str, Governor] = field(default_factory=dict)
    _said: dict[str, dict[str, float]] = field(default_factory=dict)

    def decide(
        self,
        nodes: Sequence[Node],
        groups: Iterable[tuple[Group, str]],
        demands: Mapping[str, Demand],
        now_s: float,
    ) -> dict[str, dict[str, float]]:
        """Give, by group, the rates (frames per second) that have changed.

        Args:
            nodes: all of the cluster.
            groups: each with the life it is in: started again, it has forgotten its rates.
            demands: of the cameras that were measured; others keep the rate they want.
            now_s: seconds of any steady clock.
        """
        by_node: dict[str, list[tuple[Group, str]]] = {}
        for group, life in groups:
            if group.node_id is not None:
                by_node.setdefault(group.node_id, []).append((group, life))
        changed: dict[str, dict[str, float]] = {}
        lives = set()
        for node in nodes:
            mine = by_node.get(node.node_id, [])
            wanted = {name: demands[name] for group, _ in mine for name in group.cameras if name in demands}
            governor = self._governors.setdefault(node.node_id, Governor())
            rates = governor.decide(wanted, USABLE * node.cpus, now_s) if wanted else {}
            for group, life in mine:
                lives.add(life)
                if news := self._news(group, life, rates, wanted):
                    changed[group.name] = news
        self._said = {life: said for life, said in self._said.items() if life in lives}
        alive = {node.node_id for node in nodes if node.alive}
        self._governors = {name: governor for name, governor in self._governors.items() if name in alive}
        return changed

    def _news(
        self, group: Group, life: str, rates: Mapping[str, float], wanted: Mapping[str, Demand]
    ) -> dict[str, float]:
        said = self._said.setdefault(life, {})
        news = {
            name: rates[name]
            for name in group.cameras
            if name in rates and abs(said.get(name, wanted[name].fps) - rates[name]) > SAME_FPS
        }
        said |= news
        return news
