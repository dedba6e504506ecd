"""Readers of the published sets' own lists, one module for each family."""
