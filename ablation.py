"""``python ablation.py --config configs/… --grid configs/…``: the same as ``whyact ablate``."""

import sys

from whyact.cli import main

if __name__ == "__main__":
    sys.exit(main(["ablate", *sys.argv[1:]]))
