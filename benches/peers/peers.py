"""What `run` runs, inside its own environment of Python."""

import argparse
import json
import pathlib
import sys
import time

import install
import jobs as table_of_jobs
import measure
import photos
import scores
import servers
import table

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1] / "target" / "peers"


def arguments():
    parser = argparse.ArgumentParser(prog="benches/peers/run", description="Measures mogr beside its peers.")
    parser.add_argument("--photos", metavar="DIR", help="photographs to use instead of those of Debian's packages")
    parser.add_argument("--jobs", metavar="NAME,…", help="only these (see --list)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds-per-visit", type=float, default=2.0)
    parser.add_argument("--only-scores", action="store_true", help="no rounds: scores and bytes alone")
    parser.add_argument("--list", action="store_true", help="print the names of the jobs")
    return parser.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


class Run:
    def __init__(self, options):
        self.options = options
        self.programs = install.Programs(ROOT)
        self.modules = self.programs.sharp()
        self.runner = self.programs.runner()
        self.scorer = scores.Scorer(ROOT, self.programs.scorer() / "score")
        self.photographs = photos.Photographs(ROOT, options.photos)
        self.work = ROOT / "work"
        self.work.mkdir(exist_ok=True)
        self.logo = self.work / "logo.png"
        photos.logo(self.logo)

    def variants(self, job, files):
        """Name and command of each: the first is what the others are compared with."""
        for name, options in job.sharp:
            yield name, ["node", HERE / "workers/sharp.js", self.spec(job, files, name, options)]
        yield "Pillow", [sys.executable, HERE / "workers/pillow.py", self.spec(job, files, "Pillow", {})]
        requests = job.requests(files)
        pairs = [part for request in requests for part in (job.fops(request), request["source"])]
        pictures = ["--picture", self.logo] if job.watermark else []
        for setting in job.settings:
            name = "mogr" if setting == "default" else f"mogr {setting}"
            yield name, [self.runner, "--threads", "2", "--setting", setting, *pictures, *pairs]

    def spec(self, job, files, variant, options):
        spec = self.work / f"{job.name}-{variant.replace(' ', '-')}.json"
        spec.write_text(json.dumps(job.for_worker(files, self.logo, options)))
        return spec

    def job(self, job):
        say(f"{job.name}: photographs")
        files = self.photographs.group(job.group)
        result = {"job": job, "variants": [], "failed": {}, "scores": {}, "raw": {}}
        peers = []
        try:
            for name, command in self.variants(job, files):
                self.start(job, files, name, command, peers, result)
            result["variants"] = [peer.name for peer in peers]
            if not self.options.only_scores:
                tell = lambda text: say(f"{job.name}: {text}")
                result["raw"] = measure.rounds(peers, self.options.rounds, self.options.seconds_per_visit, tell)
        finally:
            for peer in peers:
                peer.close()
        return result

    def start(self, job, files, name, command, peers, result):
        """Starts a peer, has it warm up on its results, and scores them; a peer that cannot is told of in the table."""
        results = self.work / "results" / job.name / name.replace(" ", "-")
        results.mkdir(parents=True, exist_ok=True)
        for old in results.iterdir():
            old.unlink()
        environment = {"PEERS_MODULES": str(self.modules)}
        try:
            peer = measure.Peer(name, command, environment, self.work / f"{name.replace(' ', '-')}.log")
            peer.ask(f"save {results}")
        except measure.Failed as failure:
            if name == job.sharp[0][0]:
                raise
            result["failed"][name] = str(failure)
            return
        peers.append(peer)
        result["scores"][name] = self.scores(job, files, results)

    def scores(self, job, files, results):
        if not job.scored:
            sizes = [file.stat().st_size for file in results.iterdir()]
            return {"bytes": sum(sizes) / len(sizes)}
        return self.scorer.group(job.name, job.requests(files), results, job.orient)

    def servers(self, jobs):
        if not jobs:
            return []
        bench = servers.Bench(ROOT, self.programs, self.scorer, self.photographs, self.options)
        return [bench.job(job, say) for job in jobs]

    def notes(self, results):
        groups = dict.fromkeys(result["job"].group for result in results)
        return self.photographs.notes(groups)


def main():
    options = arguments()
    engine_jobs = {job.name: job for job in table_of_jobs.JOBS}
    server_jobs = {job.name: job for job in servers.JOBS}
    known = engine_jobs | server_jobs
    if options.list:
        print("\n".join(f"{job.name:20}{job.title}" for job in known.values()))
        return
    wanted = options.jobs.split(",") if options.jobs else list(known)
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"no such job: {', '.join(unknown)}; see --list")
    run = Run(options)
    of_engine = [run.job(engine_jobs[name]) for name in wanted if name in engine_jobs]
    if of_engine:
        print("Two workers on two cores, in one process; the sum of two processes for Pillow.\n")
        print(f"{table.engine(of_engine)}\n")
    of_servers = run.servers([server_jobs[name] for name in wanted if name in server_jobs])
    if of_servers:
        print(f"Whole servers over HTTP, {servers.CONNECTIONS} clients, widths {servers.WIDTHS.start} to "
              f"{servers.WIDTHS.stop - 1}, scores at {servers.SCORED_WIDTH}.\n\n{servers.render(of_servers)}\n")
    versions = run.programs.versions()
    print(f"{options.rounds} rounds of {options.seconds_per_visit:g} s a visit. "
          + "; ".join(f"{name} {version}" for name, version in versions.items()) + ".\n")
    print("\n".join(f"- {note}" for note in run.notes(of_engine + of_servers)))
    raw = [result | {"job": result["job"].name} for result in of_engine + of_servers]
    report = {"time": time.strftime("%Y-%m-%d %H:%M"), "versions": versions, "options": vars(options), "results": raw}
    (ROOT / "results.json").write_text(json.dumps(report, indent=1))


main()
