"""Filters: each compares scores with thresholds and sets an outcome."""
