"""Flying-wire charging over real pictures, with exact truth.

A flying wire is a supply cable that hangs free between a building and an e-bike at rest. Its box is the
tight box around the visible pixels of that cable from where it leaves the building (or enters the picture)
to where it meets the bike, its charger or the socket strip beside it, the part that lies on the ground before
that included. Not in the box: charger, strip, reel and rolled-up remainder, the leads between charger and
bike, and the shadow. A box is at least MIN_SIDE_PX wide and high, so that a plumb cable still has an area.
Strands of one bundle are one wire; cables that leave from different windows are different wires.
"""
