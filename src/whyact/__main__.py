"""``python -m whyact``."""

import sys

from whyact.cli import main

if __name__ == "__main__":
    sys.exit(main())
