"""Tests run against the installed package, or against these sources where none is installed."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("rate_limited") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
