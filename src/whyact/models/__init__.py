"""Recognisers and baselines, and how configs build them."""
