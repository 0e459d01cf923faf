"""Data sets as versions: manifest, import and export, checks, statistics, split by scene, contact sheets."""
