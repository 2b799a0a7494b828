"""What a type checker must accept, and what it must find: checked with `mypy --strict`, never run.

An error that is not found makes its `type: ignore` an unused one, which is an error too.
"""

from concurrent.futures import Future

import anthropic
import openai
from typing_extensions import assert_type

from rate_limited import Plan, Report, Resource, Runner, limited
from rate_limited.apis.anthropic import AnthropicRunner
from rate_limited.apis.openai import OpenAIChatRunner, OpenAIEmbeddingsRunner

MINUTE = [Resource.per_minute("requests", 3_500)]


def ask(topic: str, max_tokens: int = 9) -> bytes:
    return topic.encode()[:max_tokens]


async def ask_later(topic: str) -> bytes:
    return topic.encode()


def plain_functions() -> None:
    runner = Runner(ask, MINUTE, max_retries=2, pacing=1.5)
    runner.schedule("owls", max_tokens=3)
    runner.schedule(3)  # type: ignore[arg-type]
    runner.schedule("owls", max_token=3)  # type: ignore[call-arg]
    runner.schedule()  # type: ignore[call-arg]
    assert_type(runner.run(), tuple[list[bytes | None], list[list[BaseException]]])
    assert_type(runner.submit("owls"), Future[bytes])
    Runner(ask, MINUTE, max_retry=2)  # type: ignore[call-overload]


def coroutine_functions() -> None:
    runner = Runner(ask_later, MINUTE)
    runner.schedule("owls", 3)  # type: ignore[call-arg]
    assert_type(runner.run(), tuple[list[bytes | None], list[list[BaseException]]])
    assert_type(runner.submit("owls"), Future[bytes])


@limited(*MINUTE)
def double(number: int) -> int:
    return 2 * number


@limited(*MINUTE, max_retries=3)
async def double_later(number: int) -> int:
    return 2 * number


async def decorated() -> None:
    assert_type(double(3), int)
    double("3")  # type: ignore[arg-type]
    assert_type(await double_later(3), int)


def looked_at() -> None:
    runner = Runner(double, MINUTE, max_cost=5, prices={"input": 0.15, "output": 0.60})
    assert_type(runner.plan(range(3), latency=2), Plan)
    assert_type(runner.plan().cost, dict[str, float])
    assert_type(runner.report("report.html"), Report)
    Runner(double, MINUTE, max_cost="5 $")  # type: ignore[call-overload]
    runner.plan(late=2)  # type: ignore[call-arg]


def clients_of_openai() -> None:
    chat = OpenAIChatRunner(openai.OpenAI(), 500, 90_000)
    chat.schedule(model="m", messages=[{"role": "user", "content": "hello"}], max_tokens=9)
    chat.schedule(model="m", messages=[], max_token=9)  # type: ignore[call-arg]
    assert_type(chat.run()[0], list[openai.types.chat.ChatCompletion | None])
    groq = OpenAIChatRunner(openai.OpenAI(), 30, api="groq", tier="free", model="m", max_concurrent=3)
    assert_type(groq.run()[0], list[openai.types.chat.ChatCompletion | None])
    OpenAIChatRunner(openai.OpenAI(), tiers="free")  # type: ignore[call-overload]
    later = OpenAIChatRunner(openai.AsyncOpenAI(), 500, 90_000, timeout=30)
    assert_type(later.run()[0], list[openai.types.chat.ChatCompletion | None])
    vectors = OpenAIEmbeddingsRunner(openai.OpenAI().embeddings.create, 500, 90_000)
    vectors.schedule(model="m", input="hello")
    assert_type(vectors.run()[0], list[openai.types.CreateEmbeddingResponse | None])


def clients_of_anthropic() -> None:
    runner = AnthropicRunner(anthropic.Anthropic(), 50, 30_000, 8_000, pacing=2)
    runner.schedule(model="m", messages=[{"role": "user", "content": "hello"}], max_tokens=9)
    runner.schedule(model="m", messages=[])  # type: ignore[call-arg]
    assert_type(runner.run()[0], list[anthropic.types.Message | None])
    later = AnthropicRunner(anthropic.AsyncAnthropic(), 50, 30_000, 8_000)
    assert_type(later.run()[0], list[anthropic.types.Message | None])
