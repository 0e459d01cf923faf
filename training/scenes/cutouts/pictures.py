"""Write stall pictures: `python -m training.scenes.cutouts.pictures --out DIR --data DATA --n 300`.

The same layout and options as training.scenes.wires.pictures.
"""

from __future__ import annotations

from training.scenes.cutouts.scene import make
from training.scenes.wires.pictures import run

if __name__ == "__main__":
    run(make, "stall", __doc__)
