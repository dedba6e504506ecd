"""Readers of the published sets' own lists, one module a family; `whyact.data.listing.Reader`s."""
