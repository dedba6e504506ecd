"""Metrics of recognition and of explanations."""
