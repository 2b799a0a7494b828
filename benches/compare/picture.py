"""The picture of the page: a dot for each tool in each scenario, further right the slower."""

from html import escape

WIDTH, LEFT, TOP, ROW = 960, 190, 60, 26
WORST = 3.0
OURS = {"rate-limited": "#c0392b", "rate_limited-py": "#e67e22"}


def x(ratio):
    return LEFT + (min(ratio, WORST) - 1.0) / (WORST - 1.0) * (WIDTH - LEFT - 40)


def picture(measured, scenarios, tools):
    height = TOP + ROW * len(scenarios) + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">Makespan / optimum: 1 is the best possible, hollow: calls were lost or it was stopped</text>',
    ]
    bottom = TOP + ROW * len(scenarios)
    for tick in (1.0, 1.1, 1.25, 1.5, 2.0, 2.5, 3.0):
        parts.append(f'<line x1="{x(tick):.1f}" y1="{TOP - 14}" x2="{x(tick):.1f}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{TOP - 18}" text-anchor="middle" fill="#666">{tick:g}{"+" if tick == WORST else ""}</text>')
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
    colour = colour_of(one["tool"])
    fill = colour if one["delivered"] == one["calls"] else "white"
    radius = 6 if one["tool"] in OURS else 4
    ratio = one["ratio"] if one["delivered"] == one["calls"] else max(one["ratio"], 1.0)
    title = escape(f"{one['tool']}: {one['ratio']:.2f} × the optimum, {one['delivered']} of {one['calls']} delivered")
    return (
        f'<circle cx="{x(max(ratio, 1.0)):.1f}" cy="{y}" r="{radius}" fill="{fill}" stroke="{colour}" fill-opacity="0.85">'
        f"<title>{title}</title></circle>"
    )


def colour_of(tool):
    return "#27ae60" if tool == "reference" else OURS.get(tool, "#5d6d7e")


def legend(y):
    names = [("#c0392b", "rate-limited (command)"), ("#e67e22", "rate_limited (Python)"), ("#27ae60", "reference"), ("#5d6d7e", "rivals")]
    for number, (colour, name) in enumerate(names):
        at = LEFT + number * 180
        yield f'<circle cx="{at}" cy="{y}" r="5" fill="{colour}"/><text x="{at + 12}" y="{y + 4}">{name}</text>'
