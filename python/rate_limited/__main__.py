"""`python -m rate_limited` is the command `rate-limited`."""

import sys

from rate_limited._command import main

sys.exit(main())
