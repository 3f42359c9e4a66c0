"""From distances to answers: calibration, thresholds, evidence, decisions, clusters."""
