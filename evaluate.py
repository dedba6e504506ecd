"""``python evaluate.py --config configs/…``: the same as ``whyact evaluate``."""

import sys

from whyact.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
