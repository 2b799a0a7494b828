"""What `tools/check-docs` and `python/tests/test_docs.py` know of the pages of the documentation."""
