"""The training loop, checkpoints and seeding."""
