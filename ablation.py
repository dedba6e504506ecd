"""``python ablation.py --workers 2``: the same as ``whyact ablate``; by default README's grid."""

import sys

from whyact.cli import main

if __name__ == "__main__":
    sys.exit(main(["ablate", *sys.argv[1:]]))
