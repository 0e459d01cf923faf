"""Image -> Detections. Knows pixels; no clock, no files but the model. Kept empty of imports on purpose."""
