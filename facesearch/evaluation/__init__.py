"""Measures a model on labelled photos, and writes reports."""
