"""The limits of OpenAI's API, and of others of the same shape."""
