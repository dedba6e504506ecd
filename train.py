"""``python train.py --config configs/…``: the same as ``whyact train``."""

import sys

from whyact.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
