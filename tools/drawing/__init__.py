"""The pictures of docs/concepts: what `tools/pictures` plays and draws."""
