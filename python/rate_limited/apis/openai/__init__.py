"""The limits of OpenAI's API, and of others of the same shape; runners for their clients."""

from rate_limited.apis.openai.runners import OpenAIChatRunner, OpenAIEmbeddingsRunner

__all__ = ["OpenAIChatRunner", "OpenAIEmbeddingsRunner"]
