"""Peers as processes that are asked for visits in turn: every variant once a round, so that drift hits all alike."""

import contextlib
import json
import os
import statistics
import subprocess


class Failed(Exception):
    pass


class Peer:
    """A process that answers each command line with a line of JSON."""

    def __init__(self, name, command, environment, log):
        self.name = name
        self.log = open(log, "a")
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=os.environ | environment,
        )
        self.answer()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{self.name} ended with status {self.process.wait()}; see {self.log.name}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"{self.name}: {answer['error']}")
        return answer

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.log.close()


def rounds(peers, count, seconds, say):
    """`count` rounds over the peers, begun by another one each time; the raw answers by name."""
    raw = {peer.name: [] for peer in peers}
    for index in range(count):
        start = index % len(peers)
        for peer in peers[start:] + peers[:start]:
            raw[peer.name].append(peer.ask(f"run {seconds}"))
        say(f"round {index + 1} of {count}")
    return raw


def rate(visit):
    return visit["iterations"] / visit["seconds"]


def times(raw, name, base):
    """How many times as fast: the median of the ratios within each round."""
    return statistics.median(rate(ours) / rate(theirs) for ours, theirs in zip(raw[name], raw[base]))


def summary(raw, name):
    visits = raw[name]
    return {"per_second": statistics.median(map(rate, visits)), "peak_mb": visits[-1]["rss_above_idle_kib"] / 1024}
