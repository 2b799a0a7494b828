"""A client that knows all: how each limit counts, when it changes, and what each call will use. It shares no code with the
project. What it reaches is the bar where limits are told right.

It dispatches a call when every limit has room for it, allows a little of the window for the way there, and mixes large and
small calls so that each stretch of the work has the average size.
"""

import asyncio
import time
from collections import deque

import aiohttp
from adapter import bound, main

# A call counts at its arrival, which is a little after it was sent.
GUARD_SHARE, GUARD_MAX = 0.002, 0.020


class Window:
    """A sliding log, or a window that begins with the first call after the last one's end."""

    def __init__(self, limit, guard, changes, start):
        self.limit, self.guard, self.changes, self.start = limit, guard, changes, start
        self.log, self.counted, self.began = deque(), 0, None
        self.pending = 0

    def quota(self, now):
        made = [it["quota"] for it in self.changes if now - self.start >= it["at"]]
        return made[-1] if made else self.limit["quota"]

    def forget(self, now):
        span = self.limit["window"] + self.guard
        if self.limit.get("kind") == "fixed":
            if self.began is not None and now >= self.began + span:
                self.log.clear()
                self.counted, self.began = 0, None
            return
        while self.log and self.log[0][0] + span <= now:
            self.counted -= self.log.popleft()[1]

    def wait(self, cost, now):
        """Seconds until `cost` has room, if nothing else happens; what waits for answers may free it sooner."""
        self.forget(now)
        room = self.quota(now) - self.counted - self.pending
        if room >= cost:
            return 0.0
        span = self.limit["window"] + self.guard
        if self.limit.get("kind") == "fixed":
            return self.began + span - now if self.began is not None else span
        for at, taken in self.log:
            room += taken
            if room >= cost:
                return at + span - now
        return span

    def count(self, cost, now):
        self.forget(now)
        if self.began is None:
            self.began = now
        entry = [now, cost]
        self.log.append(entry)
        self.counted += cost
        return lambda at: self.left(entry, at)

    def left(self, entry, at):
        """The call of this entry has left the process later than it was counted."""
        if self.began is not None:
            self.began = at if self.began == entry[0] else self.began
        entry[0] = at


class Bucket:
    def __init__(self, limit, guard, changes, start):
        self.rate = limit["quota"] / limit["window"]
        self.burst = limit.get("burst", limit["quota"])
        # The guard: a bucket that is asked a little early refuses.
        self.level, self.at, self.guard, self.pending = self.burst, start, guard, 0

    def wait(self, cost, now):
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        return max(0.0, (cost + self.pending - self.level) / self.rate)

    def count(self, cost, now):
        self.wait(0, now)
        self.level -= cost
        return lambda _at: None


class Client:
    def __init__(self, work, session):
        self.work, self.session, self.results = work, session, []
        self.usage = work.knows["usage"]
        now = time.monotonic()
        self.limits = [self.book(limit, now) for limit in work.knows["limits"]]
        self.waiting = deque(self.mixed(work.requests))
        self.again, self.in_flight, self.turn = deque(), 0, asyncio.Event()
        self.hold_until = 0.0

    def book(self, limit, now):
        changes = [it for it in self.work.knows["changes"] if it["limit"] == limit["name"]]
        guard = min(limit["window"] * GUARD_SHARE, GUARD_MAX)
        kind = Bucket if limit.get("kind") == "bucket" else Window
        return limit, kind(limit, guard, changes, now)

    def costs(self, limit, request):
        """What is taken at dispatch, and what stays when it has ended."""
        if limit["name"] == "requests":
            return 1, 1
        most, used = bound(request["body"]), self.usage[request["custom_id"]]
        charged = limit.get("charged", "bound")
        return {"bound": (most, most), "usage": (used, used), "reserve": (most, used)}[charged]

    def mixed(self, requests):
        """The calls in an order whose every beginning has the average size."""
        token = next((limit for limit, _ in self.limits if limit["name"] == "tokens"), None)
        if token is None or len(self.limits) < 2:
            return requests
        cost = {it["custom_id"]: self.costs(token, it)[1] for it in requests}
        mean = sum(cost.values()) / len(requests)
        small = deque(it for it in requests if cost[it["custom_id"]] <= mean)
        large = deque(it for it in requests if cost[it["custom_id"]] > mean)
        order, total = [], 0
        while small or large:
            light = total <= mean * len(order)
            row = (large if (light and large) or not small else small).popleft()
            total += cost[row["custom_id"]]
            order.append(row)
        return order

    async def everything(self):
        tasks, left = set(), len(self.work.requests)
        while len(self.results) < left:
            self.turn.clear()
            wait = self.start(tasks)
            try:
                await asyncio.wait_for(self.turn.wait(), wait)
            except asyncio.TimeoutError:
                pass
        return self.results

    def start(self, tasks):
        """Starts what has room; seconds until more may have, `None` where an answer must come first."""
        if time.monotonic() < self.hold_until:
            return self.hold_until - time.monotonic()
        while self.in_flight < self.work.concurrency and (self.again or self.waiting):
            queue = self.again or self.waiting
            request, now = queue[0], time.monotonic()
            wait = max(book.wait(self.costs(limit, request)[0], now) for limit, book in self.limits) if self.limits else 0
            if wait > 0:
                return max(wait, 0.0005)
            queue.popleft()
            moves = []
            for limit, book in self.limits:
                taken, _ = self.costs(limit, request)
                if limit.get("counted") == "completion" or limit.get("charged") == "reserve":
                    book.pending += taken
                else:
                    moves.append(book.count(taken, now))
            self.in_flight += 1
            task = asyncio.create_task(self.one(request, moves))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        return None

    async def one(self, request, moves):
        url = self.work.url + "/v1/chat/completions"
        sent = time.monotonic()
        async with self.session.post(url, json=request["body"], trace_request_ctx=moves) as response:
            answer = await response.json()
        self.in_flight -= 1
        for limit, book in self.limits:
            taken, stays = self.costs(limit, request)
            if limit.get("counted") == "completion":
                book.pending -= taken
                book.count(stays, time.monotonic())
            elif limit.get("charged") == "reserve":
                book.pending -= taken
                book.count(stays if response.status == 200 else taken, sent)
        if response.status == 200:
            self.results.append((request["custom_id"], answer))
        else:
            self.again.append(request)
        if response.status == 429:
            self.refused()
        self.turn.set()


    def refused(self):
        """It came too early after all: the machine is busy, so a little more is allowed for the way."""
        for limit, book in self.limits:
            book.guard = min(book.guard * 1.2, limit["window"] * GUARD_SHARE * 10)
        self.hold_until = time.monotonic() + max(book.guard for _, book in self.limits)


async def note_leaving(_session, context, _params):
    """A request has left: from now on it may count."""
    for move in context.trace_request_ctx or ():
        move(time.monotonic())


async def everything(work):
    leaving = aiohttp.TraceConfig()
    leaving.on_request_chunk_sent.append(note_leaving)
    connector = aiohttp.TCPConnector(limit=work.concurrency)
    async with aiohttp.ClientSession(connector=connector, trace_configs=[leaving]) as session:
        return await Client(work, session).everything()


main(lambda work: asyncio.run(everything(work)))
