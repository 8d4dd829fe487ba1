"""Turns results into docs/benchmarks.md and one SVG bar chart of the ratios."""
import html
import math

VERDICTS = ((2, "reached"), (1, "met"), (0, "short"))


def verdict(row):
    """Which of the two goals the ratio reaches. Ratios are made so that higher is better; limits (lower is better) are turned."""
    if row.get("must") is None:
        return "measured"
    ratio = row["ratio"]
    if row.get("lower_is_better"):
        return "reached" if ratio <= row["reach"] else "met" if ratio <= row["must"] else "short"
    return "reached" if ratio >= row["reach"] else "met" if ratio >= row["must"] else "short"


def number(value):
    if value is None or math.isnan(value):
        return "—"
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def when_line(machine):
    return (f"fdatasync {machine['append_us']:.0f} µs appending and {machine['overwrite_us']:.0f} µs overwriting 4 KiB, load average "
            f"{machine.get('load', 0):.1f}{taken(machine.get('taken'))}; {machine['date']}; {machine['mode']} run, commit {machine['commit']}")


def taken(summary):
    """What others had of the processors while this group was measured (bench/quiet.py)."""
    if not summary:
        return ""
    text = f", {summary['kept_mean']:.0%} of the processors taken by others in {summary['kept']} turns"
    return text + (f", {summary['left_out_mean']:.0%} in {summary['left_out']} that were left out" if summary["left_out"] else "")


def measured_when(rows):
    """The sync latency belongs beside every result: a line for each run, with its groups."""
    runs = {}
    for row in rows:
        if "machine" in row:
            runs.setdefault(when_line(row["machine"]), []).append(row["group"])
    if not runs:
        return []
    return ["## Runs", "", *(f"- {', '.join(dict.fromkeys(groups))}: {line}" for line, groups in runs.items()), ""]


def latency_svg(rows):
    """For each row with latencies a bar from p50 to p99, st8's over the peer's, on a log scale of milliseconds."""
    rows = [row for row in rows if (row.get("ours_run") or {}).get("p50_us") and (row.get("theirs_run") or {}).get("p50_us")]
    height, left, width, decades = 30, 430, 460, (-2.0, 3.0)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{len(rows) * height + 60}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="16" fill="#444">p50 to p99 in ms (log scale): green st8, grey the peer</text>',
    ]

    def x_of(micros):
        power = max(decades[0], min(decades[1], math.log10(max(micros, 1e-3) / 1000)))
        return left + (power - decades[0]) / (decades[1] - decades[0]) * width

    bottom = 46 + len(rows) * height
    for power in range(int(decades[0]), int(decades[1]) + 1):
        x = x_of(10 ** power * 1000)
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="36" y2="{bottom}" stroke="#ddd"/>')
        out.append(f'<text x="{x:.1f}" y="32" text-anchor="middle" fill="#444">{10 ** power:g}</text>')
    for index, row in enumerate(rows):
        y = 44 + index * height
        label = html.escape(f"{row['workload']} / {row['against']}"[:68])
        out.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{label}</text>')
        for offset, run, colour in ((2, row["ours_run"], "#2e7d32"), (12, row["theirs_run"], "#9e9e9e")):
            begin, last = run["p50_us"], run["p99_us"]
            last = begin if math.isnan(last) else max(begin, last)
            out.append(f'<rect x="{x_of(begin):.1f}" y="{y + offset}" width="{max(3.0, x_of(last) - x_of(begin)):.1f}" height="8" fill="{colour}"/>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def markdown(rows, machine, commands):
    lines = [
        "# Benchmarks",
        "",
        "Written by `./dev bench`. st8d runs as a user starts it; peers run with their defaults, at the same durability, in turn with st8d",
        "(A B A B …) in one run. A ratio is the median of the ratios of neighbouring runs; only ratios carry over to other machines. Of the turns of a row",
        "that half is kept in which the host of this virtual machine gave least of the processors' time to others, whatever they gave (`bench/quiet.py`).",
        "",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory']} GiB, {machine['filesystem']}.",
        *([] if any("machine" in row for row in rows) else ["", when_line(machine)]),
        "",
        "| Workload | Against | st8 | peer | p50 / p99 ms (st8) | p50 / p99 ms (peer) | ratio (spread) | goal | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        def latency(side):
            if side is None or side.get("p50_us") is None:
                return "—"
            return f"{number(side['p50_us'] / 1000)} / {number(side['p99_us'] / 1000)}"

        goal = "—" if row.get("must") is None else ("≤" if row.get("lower_is_better") else "≥") + f"{row['must']:g} · {row['reach']:g}"
        spread = f" ({number(row['spread'][0])}–{number(row['spread'][1])})" if row.get("spread") else ""
        lines.append(
            f"| {row['workload']} | {row['against']} | {number(row['ours'])} {row['unit']} | "
            f"{'—' if row['theirs'] is None else number(row['theirs']) + ' ' + row['unit']} | "
            f"{latency(row.get('ours_run'))} | {latency(row.get('theirs_run'))} | {number(row['ratio'])}{spread} | {goal} | {verdict(row)} |")
    lines += ["", "![Ratios against their goals](benchmarks.svg)", "", "![Latencies](benchmarks-latency.svg)", ""]
    lines += measured_when(rows)
    notes = [row for row in rows if row.get("note")]
    if notes:
        lines += ["## Notes", ""] + [f"- **{row['workload']}** ({row['against']}): {row['note']}" for row in notes] + [""]
    lines += ["## How each was measured", "", *(f"- {command}" for command in commands), ""]
    return "\n".join(lines)


def svg(rows):
    """Each goal-bearing row as a bar on a log scale, 1 = the must goal."""
    rows = [row for row in rows if row.get("must")]
    height, left, width = 22, 430, 460
    lowest, highest = -2.0, 4.0  # Powers of two around the goal.
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{len(rows) * height + 50}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="16" fill="#444">times the goal that must be met (log scale); the mark is the goal to reach for</text>',
    ]

    def x_of(times):
        power = max(lowest, min(highest, math.log2(max(times, 1e-6))))
        return left + (power - lowest) / (highest - lowest) * width

    for index, row in enumerate(rows):
        y = 30 + index * height
        times = row["must"] / row["ratio"] if row.get("lower_is_better") else row["ratio"] / row["must"]
        reach = row["must"] / row["reach"] if row.get("lower_is_better") else row["reach"] / row["must"]
        colour = {"reached": "#2e7d32", "met": "#7cb342", "short": "#d84315"}[verdict(row)]
        label = html.escape(f"{row['workload']} / {row['against']}")
        if len(label) > 68:
            label = label[:67] + "…"
        out.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{label}</text>')
        out.append(f'<rect x="{left}" y="{y + 2}" width="{max(1, x_of(times) - left):.1f}" height="{height - 7}" fill="{colour}"/>')
        out.append(f'<text x="{x_of(times) + 5:.1f}" y="{y + 13}">{number(times)}×</text>')
        out.append(f'<line x1="{x_of(reach):.1f}" x2="{x_of(reach):.1f}" y1="{y}" y2="{y + height - 3}" stroke="black"/>')
    bottom = 30 + len(rows) * height
    out.append(f'<line x1="{x_of(1):.1f}" x2="{x_of(1):.1f}" y1="24" y2="{bottom}" stroke="#444" stroke-dasharray="3 3"/>')
    out.append("</svg>")
    return "\n".join(out) + "\n"
