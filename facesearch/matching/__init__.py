"""From distances to decisions: calibration, thresholds, evidence, clustering."""
