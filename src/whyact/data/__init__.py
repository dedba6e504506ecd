"""Videos, clips and data sets."""
