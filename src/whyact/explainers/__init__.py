"""Explainers: a callable model and a clip in, an explanation out."""
