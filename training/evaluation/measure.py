"""Everything that a model's card says about accuracy, from boxes that were looked at once.

`measure_model(detector, lists, taxonomy) -> dict` gives the parts of metrics.json that need no torch:

    classes      name -> {ap50, ap50_low, ap50_high, ap5095, score_min, precision, precision_low,
                 precision_high, recall, recall_low, recall_high, n, pictures, sets}
    slices       slice ("size", "height", "light", "set") -> value -> class -> {n, ap50, ap50_low, ap50_high,
                 recall, recall_low, recall_high}
    calibration  class, or "all" -> {ece, bins: [{score, precision, n}]}
    confusion    {labels: [..., "background"], rows: [[counts]]}: rows are the truth, columns what was said

Write it into metrics.json as it is; `score_min_of(parts)` gives the table for model.toml.
"""
