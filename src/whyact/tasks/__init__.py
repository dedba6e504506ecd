"""One function for each command: the public API."""
