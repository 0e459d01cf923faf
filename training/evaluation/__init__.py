"""Evaluation that a buyer would believe: figures with intervals, slices, calibration, worst cases, events."""
