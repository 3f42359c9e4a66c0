"""Measuring a model on labelled photos, and reporting what was found."""
