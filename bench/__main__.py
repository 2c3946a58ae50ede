"""`python -m bench DIR`."""

import sys

from bench.run import main
from index.errors import QuotelineError

if __name__ == "__main__":
    try:
        sys.exit(main())
    except QuotelineError as error:
        sys.exit(f"bench: {error}")
