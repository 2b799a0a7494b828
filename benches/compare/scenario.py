"""Scenarios: an API, the calls, and what clients are told of its limits. In minutes, as users have them; `speed` makes
them shorter."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass
class Scenario:
    name: str
    about: str
    speed: float
    told: float | str
    # What no page says of its limits: `kind`, `burst`.
    unsaid: list
    api: dict
    changes: list
    blocks: list
    rounds: int
    # How many times the optimum a tool may take before it is stopped; 0: as usual.
    patience: float
    # The tools that take part; none named: all that can.
    among: list

    @staticmethod
    def all():
        """Those of `benches/scenarios`, in the order of their names."""
        folder = Path(__file__).resolve().parent.parent / "scenarios"
        return [Scenario.read(path) for path in sorted(folder.glob("*.toml"))]

    @staticmethod
    def read(path):
        raw = tomllib.loads(Path(path).read_text())
        return Scenario(
            name=Path(path).stem,
            about=raw.pop("about"),
            speed=raw.pop("speed", 12.0),
            told=raw.pop("told", 1.0),
            unsaid=raw.pop("unsaid", []),
            api=raw.pop("api"),
            changes=raw.pop("changes", []),
            blocks=raw.pop("block"),
            rounds=raw.pop("rounds", 1),
            patience=raw.pop("patience", 0.0),
            among=raw.pop("among", []),
        )

    def requests(self):
        """The lines of the work, in the batch file format; the same in each run."""
        draw, lines = Random(7), []
        for _ in range(self.rounds):
            for block in self.blocks:
                for _ in range(block["calls"]):
                    lines.append(request(len(lines), pick(block["prompt"], draw), pick(block["max_tokens"], draw)))
        return lines

    def limits_told(self):
        """What clients are told: name, quota and window in seconds of the API's clock."""
        if self.told == "nothing":
            return []
        return [
            {"name": it["name"], "quota": max(1, round(it["quota"] * self.told)), "window": seconds(it["window"])}
            for it in self.api["limits"]
        ]

    def pages(self):
        """What pages of the API say of its limits, to everybody: how each one counts, and over what window in seconds."""
        unsaid = {"quota", *self.unsaid}
        said = [{key: value for key, value in limit.items() if key not in unsaid} for limit in self.api["limits"]]
        return [{**it, "window": seconds(it["window"])} for it in said]

    def model(self, speed):
        """The API as TOML, with all spans shorter by `speed`."""
        return toml_of(scaled(self.api, speed))

    def optimum(self, work):
        """The shortest time for this much charged work of each limit, in seconds of the API's clock."""
        factor = min(1.0, self.told) if self.told != "nothing" else 1.0
        spans = [self.shortest(limit, work[limit["name"]], factor) for limit in self.api["limits"]]
        return max(spans, default=0.0) + median(self.api.get("latency", "0s"))

    def expected(self):
        """About how long the work takes at best, before anything is charged: for patience."""
        lines = self.requests()
        prompts = [len(it["body"]["messages"][0]["content"]) // 4 for it in lines]
        tokens = sum(prompts) + sum(it["body"]["max_tokens"] for it in lines)
        most = self.api.get("answers", {"max": 1.0})["max"]
        charges = [it.get("charged", "bound") for it in self.api["limits"] if it["name"] == "tokens"]
        used = tokens if "bound" in charges else sum(prompts) + round((tokens - sum(prompts)) * most)
        return self.optimum({"requests": len(lines), "tokens": used})

    def shortest(self, limit, work, factor):
        window, quota = seconds(limit["window"]), limit["quota"] * factor
        changes = [(seconds(it["at"]), it["quota"]) for it in self.changes if it["limit"] == limit["name"]]
        if changes:
            return changing(window, quota, changes, work)
        if limit.get("kind") == "bucket":
            return max(0.0, work - limit.get("burst", limit["quota"]) * factor) * window / quota
        return max(0, math.ceil(work / quota) - 1) * window


def changing(window, quota, changes, work):
    at, left = 0.0, work - quota
    while left > 0:
        at += window
        left -= next((new for since, new in reversed(changes) if since <= at), quota)
    return at


def request(number, prompt, max_tokens):
    # One token for each four characters, by the judge's count as by the usual tokenizer.
    text = f"{number:07} " + " cat" * max(0, prompt - 2)
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "max_tokens": max_tokens}
    return {"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body}


def pick(value, draw):
    if isinstance(value, int):
        return value
    return round(value["min"] * (value["max"] / value["min"]) ** draw.random())


def seconds(span):
    number, unit = re.fullmatch(r"([0-9.]+)(ms|s|m)", span).groups()
    return float(number) * UNITS[unit]


def median(latency):
    if isinstance(latency, str):
        return seconds(latency)
    if "median" in latency:
        return seconds(latency["median"])
    return (seconds(latency["min"]) + seconds(latency["max"])) / 2


def scaled(value, speed):
    if isinstance(value, dict):
        return {key: scaled(item, speed) for key, item in value.items()}
    if isinstance(value, list):
        return [scaled(item, speed) for item in value]
    if isinstance(value, str) and re.fullmatch(r"[0-9.]+(ms|s|m)", value):
        return f"{seconds(value) / speed * 1000:.6g}ms"
    return value


def toml_of(value, top=True):
    if isinstance(value, dict):
        pairs = [f"{key} = {toml_of(item, False)}" for key, item in value.items()]
        return "\n".join(pairs) + "\n" if top else "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml_of(item, False) for item in value) + "]"
    return json.dumps(value)
