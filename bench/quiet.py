"""Turns in which the machine was ours.

The host of a virtual machine gives its processors to others now and then, up to half of them for some seconds. What is measured meanwhile tells how the host
was: who needs several processors at once to answer loses more by it than who needs one. So of many turns the half is kept in which least was taken. That
is chosen by what the kernel counts as stolen and by nothing else: what a turn gave has no say, and neither have its sides, since a turn is a run of each."""

FEW = 6        # Fewer turns than this cannot spare a half: all are kept.
NOTHING = 0.01  # Where no more of the processors' time is taken, nobody takes any, as far as one can tell.


def processors(stat="/proc/stat"):
    """Time of all processors since the start: all of it, and what the host gave to others."""
    with open(stat) as file:
        times = list(map(int, file.readline().split()[1:9]))  # Guests' time, behind these, is in the user's already.
    return sum(times), times[7]


def watched(one):
    """What `one` gives, with the part of the processors' time that others had meanwhile."""
    total, stolen = processors()
    result = one()
    total_after, stolen_after = processors()
    return (stolen_after - stolen) / max(1, total_after - total), result


def half(log, turns):
    """Of (taken, result) the results of the half in which least was taken, in the order in which they were measured."""
    bound = max(NOTHING, sorted(taken for taken, _ in turns)[(len(turns) - 1) // 2]) if len(turns) >= FEW else 1.0
    for taken, _ in turns:
        (log.kept if taken <= bound else log.left_out).append(taken)
    return [result for taken, result in turns if taken <= bound]


class Log:
    """What was taken in the turns of a group, kept and left out."""

    def __init__(self):
        self.kept, self.left_out = [], []

    def summary(self):
        """None where nothing was measured by turns."""
        if not self.kept:
            return None
        mean = lambda values: sum(values) / len(values) if values else None  # noqa: E731
        return {"kept": len(self.kept), "kept_mean": mean(self.kept), "left_out": len(self.left_out), "left_out_mean": mean(self.left_out)}
