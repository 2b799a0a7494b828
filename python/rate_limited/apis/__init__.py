"""Ready-made descriptions of the limits of well-known APIs."""
