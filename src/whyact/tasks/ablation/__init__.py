"""What `whyact.tasks.ablate` is made of: grids, matched sizes, runs, costs, scores and tables."""
