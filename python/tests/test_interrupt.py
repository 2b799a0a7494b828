"""Ctrl-C, and the end of the interpreter, in processes of their own."""

from __future__ import annotations

import pytest
from support import Script, dedented, watchdog  # noqa: F401

BODIES = {
    "sync": """
        def work(n):
            with lock:
                begun.append(n)
            time.sleep(0.02)
            with lock:
                paid.append(n)
            return n
        """,
    "async": """
        async def work(n):
            begun.append(n)
            await asyncio.sleep(0.02)
            paid.append(n)
            return n
        """,
}

WAYS = {
    "script": "first = runner.run()",
    "under a loop": """
        async def main():
            return runner.run()
        first = asyncio.run(main())
        """,
}

CHECK = """
    results, exceptions = first
    early, interrupted, kept = sorted(paid), runner.interrupted, runner.last
    second = runner.run()
    say(
        in_order=all(r is None or r == n for n, r in enumerate(results)),
        length=[len(results), len(exceptions)],
        lost=sorted(set(early) - {r for r in results if r is not None}),
        interrupted=interrupted,
        last=kept == (results, exceptions),
        complete=second[0] == list(range(40)),
        twice=len(begun) - len(set(begun)),
        after=runner.interrupted,
        took=took,
        done=len(early),
        handler=signal.getsignal(signal.SIGINT) is former,
        left=len(runner),
    )
    """


def interrupted_script(kind: str, way: str, moment: float) -> str:
    before = f"""
        lock, begun, paid = threading.Lock(), [], []
        former = signal.getsignal(signal.SIGINT)
        runner = Runner(work, limits(), max_concurrent=2, progress=False)
        for n in range(40):
            runner.schedule(n)
        begin = time.monotonic()
        at({moment})
        """
    return dedented(BODIES[kind], before, WAYS[way], "took = time.monotonic() - begin", CHECK)


@pytest.mark.parametrize("moment", [0.06, 0.21])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", BODIES)
def test_once_keeps_all_that_was_paid_and_goes_on(kind: str, way: str, moment: float) -> None:
    facts = Script(interrupted_script(kind, way, moment)).succeeded()
    assert facts["in_order"]
    assert facts["length"] == [40, 40]
    assert facts["lost"] == []
    assert facts["interrupted"]
    assert facts["last"]
    assert facts["complete"]
    assert facts["twice"] == 0
    assert not facts["after"]
    assert 0 < facts["done"] < 40
    assert facts["took"] < moment + 0.25
    assert facts["handler"]
    assert facts["left"] == 0


HANGING = {
    "sync": """
        def work(n):
            if n < 2:
                return n
            hangs.set()
            time.sleep(seconds)
            return n
        """,
    "async": """
        async def work(n):
            if n < 2:
                return n
            hangs.set()
            await asyncio.sleep(seconds)
            return n
        """,
}


def hanging(kind: str, seconds: float, grace: float, *moments: float, way: str = "script") -> Script:
    before = f"""
        seconds, hangs = {seconds}, threading.Event()
        runner = Runner(work, limits(), max_concurrent=2, grace_seconds={grace}, progress=False)
        for n in range(6):
            runner.schedule(n)
        begin = time.monotonic()
        at({", ".join(map(str, moments))}, after=hangs)
        """
    after = """
        took = time.monotonic() - begin
        say(results=first[0], took=took, interrupted=runner.interrupted)
        """
    return Script(dedented(HANGING[kind], before, WAYS[way], after))


@pytest.mark.parametrize("kind", HANGING)
def test_what_arrives_within_the_grace_is_kept(kind: str) -> None:
    facts = hanging(kind, 0.5, 5, 0.1).succeeded()
    assert facts["results"] == [0, 1, 2, 3, None, None]
    assert 0.45 < facts["took"] < 1.0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", HANGING)
def test_a_hung_call_is_given_up_after_the_grace(kind: str, way: str) -> None:
    script = hanging(kind, 60, 0.3, 0.1, way=way)
    facts = script.succeeded()
    assert facts["results"] == [0, 1, None, None, None, None]
    assert facts["interrupted"]
    assert 0.35 < facts["took"] < 0.8
    assert script.seconds < 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", HANGING)
def test_twice_returns_at_once(kind: str, way: str) -> None:
    script = hanging(kind, 60, 30, 0.1, 0.2, way=way)
    facts = script.succeeded()
    assert facts["results"] == [0, 1, None, None, None, None]
    assert 0.15 < facts["took"] < 0.6
    assert script.seconds < 3


@pytest.mark.parametrize("kind", BODIES)
def test_while_everything_waits_for_quota(kind: str) -> None:
    before = """
        lock, begun, paid = threading.Lock(), [], []
        slow = Resource("requests", 2, 60, arguments_usage_extractor=lambda _: 1)
        runner = Runner(work, [slow], progress=False)
        for n in range(5):
            runner.schedule(n)
        begin = time.monotonic()
        at(0.2)
        first = runner.run()
        say(results=first[0], took=time.monotonic() - begin)
        """
    facts = Script(dedented(BODIES[kind], before)).succeeded()
    assert facts["results"] == [0, 1, None, None, None]
    assert facts["took"] < 0.5


@pytest.mark.parametrize("kind", BODIES)
def test_off_the_main_thread_interrupt_does_the_same(kind: str) -> None:
    before = """
        lock, begun, paid = threading.Lock(), [], []
        former = signal.getsignal(signal.SIGINT)
        runner = Runner(work, limits(), max_concurrent=2, progress=False)
        for n in range(40):
            runner.schedule(n)
        got, seen = [], []
        begin = time.monotonic()
        thread = threading.Thread(target=lambda: got.append(runner.run()))
        thread.start()
        time.sleep(0.1)
        seen.append(signal.getsignal(signal.SIGINT) is former)
        runner.interrupt()
        thread.join(5)
        took = time.monotonic() - begin
        first = got[0]
        """
    facts = Script(dedented(BODIES[kind], before, CHECK, "say(untouched=seen[0])")).succeeded()
    assert facts["untouched"]
    assert facts["lost"] == []
    assert facts["interrupted"]
    assert facts["complete"]
    assert facts["twice"] == 0
    assert facts["took"] < 0.4


@pytest.mark.parametrize(
    "handler",
    ["signal.default_int_handler", "signal.SIG_IGN", "signal.SIG_DFL", "lambda *_: None"],
)
def test_the_former_handler_is_put_back(handler: str) -> None:
    script = Script(
        f"""
        mine = {handler}
        signal.signal(signal.SIGINT, mine)
        runner = Runner(len, limits(), progress=False)
        runner.schedule("a")
        results, _ = runner.run()
        say(results=results, same=signal.getsignal(signal.SIGINT) == mine)
        """
    )
    assert script.succeeded() == {"results": [1], "same": True}


def test_asyncio_takes_ctrl_c_again_after_a_run() -> None:
    script = Script(
        """
        async def main():
            runner = Runner(len, limits(), progress=False)
            runner.schedule("a")
            say(results=runner.run()[0])
            at(0.1)
            await asyncio.sleep(5)
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            say(raised=True)
        """
    )
    assert script.succeeded() == {"results": [1], "raised": True}
    assert script.seconds < 3


def test_ctrl_c_before_and_after_a_run_is_python_s_own() -> None:
    script = Script(
        """
        runner = Runner(len, limits(), progress=False)
        runner.schedule("a")
        runner.run()
        try:
            at(0.05)
            time.sleep(5)
        except KeyboardInterrupt:
            say(raised=True, again=runner.run())
        """
    )
    assert script.succeeded() == {"raised": True, "again": [[], []]}


def test_many_moments_lose_nothing() -> None:
    # One process, a signal at a random moment of each run, until all calls are done.
    script = Script(
        """
        import random
        paid = []
        def work(n):
            time.sleep(0.001)
            paid.append(n)
            return n
        runner = Runner(work, limits(), max_concurrent=4, progress=False)
        for n in range(3000):
            runner.schedule(n)
        runs, lost = 0, []
        while True:
            timer = threading.Timer(random.random() * 0.05, os.kill, (os.getpid(), signal.SIGINT))
            try:
                timer.start()
                results, _ = runner.run()
                lost += set(paid) - set(results)
                timer.cancel()
                timer.join()
            except KeyboardInterrupt:
                continue  # it came just outside of the run
            runs += 1
            if not runner.interrupted:
                break
        say(complete=results == list(range(3000)), lost=lost, twice=len(paid) - 3000, runs=runs)
        """
    )
    facts = script.succeeded()
    assert facts["complete"]
    assert facts["lost"] == []
    assert facts["twice"] == 0
    assert facts["runs"] > 3


def test_no_moment_of_a_short_run_is_a_hole() -> None:
    # From before its start until after its end: either the run takes the signal, or Python does, and
    # then nothing was begun or everything is done.
    script = Script(
        """
        import random
        lost, twice, went_on, taken, raised = [], 0, 0, 0, 0
        for turn in range(150):
            begun, paid = [], []
            def work(n):
                begun.append(n)
                time.sleep(0.002)
                paid.append(n)
                return n
            runner = Runner(work, limits(), max_concurrent=4, progress=False)
            for n in range(12):
                runner.schedule(n)
            moment = random.random() * 0.008
            def send():
                time.sleep(moment)
                os.kill(os.getpid(), signal.SIGINT)
            sender = threading.Thread(target=send, daemon=True)
            try:
                sender.start()
                results, _ = runner.run()
                taken += runner.interrupted
                sender.join()
            except KeyboardInterrupt:
                raised += 1
                early = len(begun)
                time.sleep(0.01)
                went_on += len(begun) != early
                results = runner.last[0]
            lost += set(paid) - set(results)
            whole = runner.run()[0] or results
            twice += len(begun) - 12
            lost += set(range(12)) - set(whole)
        say(lost=lost, twice=twice, went_on=went_on, taken=taken, raised=raised)
        """
    )
    facts = script.succeeded()
    assert facts["lost"] == []
    assert facts["twice"] == 0
    assert facts["went_on"] == 0
    assert facts["taken"] > 20


ENDINGS = {
    "run in a daemon thread, then the end": """
        threading.Thread(target=runner.run, daemon=True).start()
        time.sleep(0.2)
        """,
    "interrupted twice, then the end": """
        at(0.1, 0.2)
        runner.run()
        """,
    "interrupted, then an exception": """
        at(0.1, 0.2)
        runner.run()
        raise SystemExit(0)
        """,
    "run_coro cancelled": """
        async def main():
            try:
                await asyncio.wait_for(runner.run_coro(), 0.2)
            except asyncio.TimeoutError:
                pass
        asyncio.run(main())
        """,
    "submitted and not waited for": """
        future = runner.submit(1)
        time.sleep(0.1)
        """,
    "map left in the middle": """
        rows = runner.map([0, 1])
        print(next(rows))
        """,
    "sys.exit while a thread runs": """
        threading.Thread(target=runner.run, daemon=True).start()
        time.sleep(0.1)
        sys.exit(0)
        """,
    "nothing begun": "pass",
}

HUNG = {
    "sync": """
        def work(n):
            if n:
                time.sleep(60)
            return n
        """,
    "async": """
        async def work(n):
            if n:
                await asyncio.sleep(60)
            return n
        """,
    "hidden": """
        async def later(n):
            if n:
                await asyncio.sleep(60)
            return n
        work = lambda n: later(n)
        """,
}


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        pytest.param(text, kind, id=f"{name}-{kind}")
        for number, (name, text) in enumerate(ENDINGS.items())
        for kind in HUNG
        if kind != "hidden" or number < 2
    ],
)
def test_a_hung_call_never_keeps_the_interpreter(ending: str, kind: str) -> None:
    before = """
        runner = Runner(work, limits(), grace_seconds=30, progress=False)
        for n in (0, 1, 1):
            runner.schedule(n)
        """
    script = Script(dedented(HUNG[kind], before, ending), timeout=10)
    script.succeeded()
    assert script.seconds < 2


def test_a_hung_call_under_progress_keeps_nothing_either() -> None:
    script = Script(
        """
        runner = Runner(time.sleep, limits(), progress_interval=0.05)
        runner.schedule(60)
        at(0.1, 0.2)
        runner.run()
        """
    )
    script.succeeded()
    assert script.seconds < 2.5
