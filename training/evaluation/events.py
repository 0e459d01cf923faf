"""Event level: which of the events in a clip were reported, and how soon. Pure but for reading files.

A clip's truth is a TOML file, `datasets/clips/<clip>.toml`, written by a person who watched the clip (or JSON
of the same shape written by the renderer, datasets/demo/truth.json):

    clip = "fixed_intersection.mp4"          # file name; looked for beside this file and in ../shared/clips
    site = "fixed_intersection.site.toml"    # the watch order it is run with; beside this file; this is the default
    seconds = 24.9                           # length
    size = [640, 360]                        # width, height in px; every coordinate below is in these pixels
    labelled_by = "who, how, when"           # one line
    notes = ""                               # what is hard about it; optional

    [[event]]                                # one per thing that should be reported; none at all: all false alarms
    kind = "illegal_parking"                 # as in the case JSON
    also = []                                # other kinds that are right as well (bin_overflow, exposed_garbage)
    zone_id = "kerb-east"                    # a zone of the site; "" where any zone is right
    xyxy = [521, 304, 801, 497]              # where it is: left, top, right, bottom
    from_s = 9.0                             # when the thing is at rest and the rule's clock begins; 0: from the start
    to_s = 45.0                              # when it leaves, or the clip ends
    notes = ""                               # optional
    # instead of xyxy, one of:
    # polygon = [[521, 304], [801, 304], [801, 497]]            # a place that is no box
    # track = [{ at_s = 0.0, xyxy = [..] }, { at_s = 4.0, .. }] # a moving camera; straight lines in between

    [[ignore]]                               # same keys, kind = "*" for every kind: a case here counts as neither
    kind = "illegal_parking"                 # right nor wrong (nobody can say whether the thing is one)
    xyxy = [0, 0, 100, 100]
    from_s = 0.0
    to_s = 24.9

A case (a line of `kerbwatch run CLIP --site SITE --json`) is a hit when its kind is the event's, its zone too,
its box covers the event's place (IoU at least IOU_MIN, or one holds the other's centre) and it was raised
between `from_s` and `to_s`, give or take SLACK_S. One case hits one event and one event takes one case, the
earliest; a second case of the same event is a false alarm. Time to alarm is `observed_at` less `from_s`.
"""

IOU_MIN = 0.1
SLACK_S = 2.0
