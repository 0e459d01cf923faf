"""The two streets of the benchmark clips and what happens on them: data, no code.

On the typical street something moves in 8 of the 30 groups of pictures of 2 s. Key frames of the plain clip
come every 2 s, at even seconds. Where a thing's times matter for a gate, it says so.
"""

from __future__ import annotations

from benchmarks.footage import Act, Cut, Street

PARKING, VENDING = "illegal_parking", "street_vending"
END = 60.0

REAL = Street(
    name="real",
    horizon_y=95.0,
    cuts={
        "mini": Cut(0, (138, 229, 203, 297)),
        "white": Cut(240, (343, 229, 429, 297)),
        "dark": Cut(460, (238, 226, 319, 301)),
        "sedan": Cut(360, (249, 237, 327, 308)),
        "side": Cut(360, (488, 225, 586, 281)),
        "stall": Cut(450, (190, 88, 277, 194), demo=True, size_at_y=320),
    },
    zones={
        "road": ("no_parking", ((60, 360), (110, 190), (480, 190), (640, 260), (640, 360))),
        "road-vending": ("no_vending", ((60, 360), (110, 190), (480, 190), (640, 260), (640, 360))),
        "bays": ("no_parking", ((40, 360), (75, 180), (112, 180), (120, 360))),
        "bays-vending": ("no_vending", ((40, 360), (75, 180), (125, 180), (125, 360))),
    },
    typical=(
        Act(
            "there",
            "mini",
            ((0, 235, 300), (END, 235, 300)),
            PARKING,
            "road",
            "stands from the first frame to the last: the gate must look without any change",
        ),
        Act(
            "comes and goes",
            "white",
            ((4.2, 300, 125), (7.4, 330, 240), (16.1, 330, 240), (17.8, 420, 430)),
            PARKING,
            "road",
            "arrives and leaves inside the clip: its beginning and its end",
        ),
        Act(
            "between key frames",
            "side",
            ((24.2, 700, 300), (25.4, 540, 285), (END, 540, 285)),
            PARKING,
            "road",
            "comes to rest between the key frames at 24 s and 26 s: the start must be found by looking back",
        ),
        Act(
            "passer between key frames",
            "sedan",
            ((30.2, 400, 130), (31.6, 520, 440)),
            tests="comes and goes between the key frames at 30 s and 32 s: no rule of dwell needs it",
        ),
        Act(
            "short stop",
            "dark",
            ((30.3, 250, 140), (31.7, 150, 250), (34.2, 150, 250), (35.8, 80, 430)),
            tests="stands for 2.5 s of the 5 s: must be no event in any pipeline",
        ),
        Act(
            "put down",
            "stall",
            ((40.2, 150, 330), (END, 150, 330)),
            VENDING,
            "road-vending",
            "is there from one frame to the next and changes nothing after: one look decides",
        ),
        Act(
            "late",
            "dark",
            ((50, 270, 130), (52, 320, 245), (END, 320, 245)),
            PARKING,
            "road",
            "its dwell ends 3 s before the clip does",
        ),
    ),
    busy=(
        Act("there", "mini", ((0, 92, 215), (20, 92, 215), (22, 40, 430)), PARKING, "bays"),
        Act(
            "comes and goes",
            "white",
            ((6, 112, 130), (8, 82, 275), (22, 82, 275), (24, 40, 430)),
            PARKING,
            "bays",
        ),
        Act("put down", "stall", ((26.2, 84, 345), (END, 84, 345)), VENDING, "bays-vending"),
        Act(
            "between key frames",
            "dark",
            ((30.2, 112, 130), (31.4, 92, 210), (END, 92, 210)),
            PARKING,
            "bays",
        ),
        Act("short stop", "sedan", ((36, 112, 130), (38, 80, 265), (41, 80, 265), (43, 20, 430))),
    ),
)

RENDERED = Street(
    name="rendered",
    horizon_y=-15.0,
    cuts={
        "white": Cut(300, (260, 152, 400, 248)),
        "silver": Cut(45, (476, 122, 557, 208)),
        "van": Cut(600, (486, 114, 562, 184)),
        "stall": Cut(450, (190, 88, 277, 194)),
    },
    zones={
        "road": ("no_parking", ((110, 360), (330, 180), (470, 110), (600, 110), (560, 360))),
        "footway": ("no_vending", ((190, 250), (430, 105), (330, 100), (60, 280))),
    },
    typical=(
        Act("there", "white", ((0, 330, 248), (END, 330, 248)), PARKING, "road"),
        Act(
            "comes and goes",
            "silver",
            ((4.2, 560, 60), (7.4, 500, 230), (16.1, 500, 230), (17.8, 380, 520)),
            PARKING,
            "road",
        ),
        Act(
            "between key frames",
            "silver",
            ((24.2, 560, 60), (25.4, 500, 235), (END, 500, 235)),
            PARKING,
            "road",
        ),
        Act("passer between key frames", "silver", ((30.2, 590, 60), (31.6, 480, 520))),
        Act("short stop", "van", ((30.3, 570, 40), (31.7, 540, 150), (34.2, 540, 150), (35.8, 570, 520))),
        Act("put down", "stall", ((40.2, 235, 200), (END, 235, 200)), VENDING, "footway"),
        Act("late", "van", ((50, 330, 520), (52, 400, 320), (END, 400, 320)), PARKING, "road"),
    ),
    busy=(
        Act("there", "white", ((0, 330, 248), (20, 330, 248), (22, 160, 480)), PARKING, "road"),
        Act(
            "between key frames",
            "white",
            ((30.2, 240, 480), (31.4, 330, 250), (END, 330, 250)),
            PARKING,
            "road",
        ),
        Act("put down", "stall", ((26.2, 235, 200), (END, 235, 200)), VENDING, "footway"),
    ),
    traffic=tuple(
        Act(f"passer {n}", ("silver", "van")[n % 2], ((3.0 * n, 560, 60), (3.0 * n + 2.8, 460, 520)))
        for n in range(20)
    ),
)

STREETS = {"real": REAL, "rendered": RENDERED}
