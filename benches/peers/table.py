"""The results as Markdown, with what falls short of its goal said beside it."""

import measure

# A score may be this much lower before it counts as lower: what the choice of photographs decides.
SCORE_TOLERANCE = 0.1
HEAD = ["job", "variant", "× sharp", "/s", "MB above idle", "of sharp", "linear", "gamma", "bytes", "against goal"]


def render(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def engine(results):
    rows = []
    for result in results:
        rows += [engine_row(result, variant, first=index == 0) for index, variant in enumerate(result["variants"])]
        for name, reason in result["failed"].items():
            rows.append(["", name, reason] + [""] * (len(HEAD) - 3))
    return render(HEAD, rows)


def engine_row(result, variant, first):
    base, raw, job = result["variants"][0], result["raw"], result["job"]
    row = [f"**{job.title}**" if first else "", variant]
    if raw:
        now, then = measure.summary(raw, variant), measure.summary(raw, base)
        share = now["peak_mb"] / then["peak_mb"] if then["peak_mb"] > 0 else float("nan")
        row += [f"{measure.times(raw, variant, base):.2f}", f"{now['per_second']:.1f}"]
        row += [f"{now['peak_mb']:.0f}", f"{share:.2f}"]
    else:
        row += [""] * 4
    score, base_score = result["scores"].get(variant), result["scores"].get(base)
    row += score_cells(score, base_score)
    return row + [", ".join(short_of(result)) or "met" if variant == "mogr" and job.goal_times else ""]


def score_cells(score, base):
    if not score:
        return [""] * 3
    cells = [f"{score[light]:.1f}" if light in score else "" for light in ("linear", "gamma")]
    change = 100 * (score["bytes"] / base["bytes"] - 1) if base else 0
    return cells + [f"{score['bytes']:.0f}" + (f" ({change:+.1f} %)" if score is not base else "")]


def short_of(result):
    """Each goal of the job that mogr misses, in words."""
    job, raw, scores = result["job"], result["raw"], result["scores"]
    missed = []
    if raw:
        for base, goal in job.goal_times.items():
            reached = measure.times(raw, "mogr", base) if base in raw else goal
            if reached < goal:
                missed.append(f"{reached:.2f}× of {goal}× {base}")
        share = measure.summary(raw, "mogr")["peak_mb"] / max(measure.summary(raw, "sharp")["peak_mb"], 1)
        if job.goal_memory and share > job.goal_memory:
            missed.append(f"memory {share:.2f} of {job.goal_memory:.2f}")
    return missed + short_of_quality(scores.get("mogr"), scores.get(job.goal_quality), job.goal_bytes_percent)


def short_of_quality(ours, theirs, bytes_percent):
    if not ours or not theirs:
        return []
    lower = [light for light in ("linear", "gamma") if light in ours and ours[light] < theirs[light] - SCORE_TOLERANCE]
    missed = [f"{light} {ours[light] - theirs[light]:+.1f}" for light in lower]
    change = 100 * (ours["bytes"] / theirs["bytes"] - 1)
    return missed + ([f"bytes {change:+.1f} %"] if change > bytes_percent else [])
