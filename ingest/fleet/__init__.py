"""Many cameras: groups in worker processes on one machine, or in actors on a Ray cluster."""
