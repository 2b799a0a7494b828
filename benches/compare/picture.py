"""The picture of the page: a dot for each tool in each scenario, further right the slower."""

from html import escape

WIDTH, LEFT, TOP, ROW = 960, 190, 60, 26
WORST = 3.0
CLASSES = {"rate-limited": "command", "rate_limited-py": "package", "reference": "reference"}
OURS = ("rate-limited", "rate_limited-py")
# Colours follow the reader's: each has a contrast of at least 3 to its ground, and text of at least 4.5.
STYLE = """<style>
svg { --ground: #ffffff; --text: #1f2328; --faint: #59636e; --line: #d1d9e0;
  --command: #b3261e; --package: #b35900; --reference: #1a7f37; --rival: #57606a }
@media (prefers-color-scheme: dark) {
  svg { --ground: #0d1117; --text: #e6edf3; --faint: #9198a1; --line: #3d444d;
    --command: #ff7b72; --package: #ffa657; --reference: #56d364; --rival: #8b949e }
}
.ground { fill: var(--ground) }
text { fill: var(--text) }
.tick { fill: var(--faint) }
line { stroke: var(--line) }
.command { fill: var(--command); stroke: var(--command) }
.package { fill: var(--package); stroke: var(--package) }
.reference { fill: var(--reference); stroke: var(--reference) }
.rival { fill: var(--rival); stroke: var(--rival) }
.hollow { fill: var(--ground) }
</style>"""


def x(ratio):
    return LEFT + (min(ratio, WORST) - 1.0) / (WORST - 1.0) * (WIDTH - LEFT - 40)


def picture(measured, scenarios, tools):
    height = TOP + ROW * len(scenarios) + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
        STYLE,
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        f'<text x="{LEFT}" y="20" font-size="14">Makespan / optimum: 1 is the best possible, hollow: calls were lost or it was stopped</text>',
    ]
    bottom = TOP + ROW * len(scenarios)
    for tick in (1.0, 1.1, 1.25, 1.5, 2.0, 2.5, 3.0):
        parts.append(f'<line x1="{x(tick):.1f}" y1="{TOP - 14}" x2="{x(tick):.1f}" y2="{bottom}"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{TOP - 18}" text-anchor="middle" class="tick">{tick:g}{"+" if tick == WORST else ""}</text>')
    for number, scenario in enumerate(scenarios):
        y = TOP + ROW * number + ROW / 2
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(scenario.name)}</text>')
        # Ours last, so that they lie on top.
        for tool in sorted(tools, key=lambda it: it.name in OURS):
            one = measured.get((scenario.name, tool.name))
            if one:
                parts.append(dot(one, y))
    return "\n".join([*parts, *legend(bottom + 30), "</svg>"]) + "\n"


def dot(one, y):
    complete = one["delivered"] == one["calls"]
    look = class_of(one["tool"]) + ("" if complete else " hollow")
    radius = 6 if one["tool"] in OURS else 4
    title = escape(f"{one['tool']}: {one['ratio']:.2f} × the optimum, {one['delivered']} of {one['calls']} delivered")
    return (
        f'<circle class="{look}" cx="{x(max(one["ratio"], 1.0)):.1f}" cy="{y}" r="{radius}" fill-opacity="0.85">'
        f"<title>{title}</title></circle>"
    )


def class_of(tool):
    return CLASSES.get(tool, "rival")


def legend(y):
    names = [("command", "rate-limited (command)"), ("package", "rate_limited (Python)"), ("reference", "reference"), ("rival", "rivals")]
    for number, (look, name) in enumerate(names):
        at = LEFT + number * 180
        yield f'<circle class="{look}" cx="{at}" cy="{y}" r="5"/><text x="{at + 12}" y="{y + 4}">{name}</text>'
