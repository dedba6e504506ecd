"""Audits of any video model: changed clips, probes, verdicts. They take callables."""
