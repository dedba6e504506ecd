"""The modules that carry the model, one slot each."""
