"""Data set -> model version. The only importer of torch and ultralytics besides that backend."""
