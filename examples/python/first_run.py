"""Runs any function within limits. Needs nothing but the package: python first_run.py"""

import random
import time

from rate_limited import Resource, Runner


def translate(word: str, language: str = "French") -> str:
    """Stands for a call to an API: it takes its time, and fails now and then."""
    time.sleep(0.05)
    if random.random() < 0.1:
        raise ConnectionError("the connection was lost")
    return f"{word} in {language}"


def main() -> None:
    limits = [
        Resource.per_second("requests", 20),
        Resource.per_minute("characters", 5_000, lambda call: len(call.get_argument("word"))),
    ]
    runner = Runner(translate, limits, max_concurrent=8)
    for word in ["badger", "owl", "moth", "heron"] * 10:
        runner.schedule(word, language="Dutch")

    # Ctrl-C returns what is there; another run() goes on.
    results, exceptions = runner.run()

    print(results[:4])
    print(f"{sum(result is not None for result in results)} of {len(results)} done,")
    print(f"{sum(len(errors) for errors in exceptions)} attempts failed and were made again")


if __name__ == "__main__":
    main()
