"""`python -m huisclos`: the command line."""

import sys

from huisclos.cli.main import main

sys.exit(main())
