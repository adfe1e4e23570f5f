"""What the client tests share: a mogr in a folder of its own, plain HTTP, and checks that are counted."""

import http.client
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

START_SECONDS = 30
READY_LINE = re.compile(r"delivery on http://(\S+?:\d+), api on http://(\S+?:\d+)")


class Checks:
    """Counts what held and what did not, and says so as it goes."""

    def __init__(self):
        self.passed, self.failed = 0, 0

    def that(self, what, holds, seen=""):
        if holds:
            self.passed += 1
            print(f"  ok      {what}")
        else:
            self.failed += 1
            print(f"  FAILED  {what}: {seen}")

    def equal(self, what, found, wanted):
        self.that(what, found == wanted, f"{short(found)}, expected {short(wanted)}")

    def group(self, name, function, *arguments):
        """Runs one function of checks; an exception is one failed check, and the next group still runs."""
        print(name)
        try:
            function(self, *arguments)
        except Exception as error:  # whatever a client library raises
            self.that(f"{name} runs to its end", False, f"{type(error).__name__}: {error}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)


def short(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"


def free_port():
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(what, ready, process=None, seconds=START_SECONDS):
    """Asks `ready` until it answers something true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what} ended with code {process.returncode}")
        if value := ready():
            return value
        time.sleep(0.05)
    raise TimeoutError(f"{what} was not ready after {seconds} s")


def accepts(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A server that lives as long as the `with` block, its output in a file."""

    def __init__(self, name, command, log, env=None):
        self.name, self.log = name, pathlib.Path(log)
        self.output = self.log.open("wb")
        self.popen = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env=env or local_environment(),
        )

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.popen.terminate()
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self.output.close()
        if kind is not None:
            self.show_log()

    def show_log(self):
        print(f"--- last lines of {self.name}")
        print("\n".join(self.log.read_text(errors="replace").splitlines()[-40:]))

    def listening(self, port):
        wait_until(self.name, lambda: accepts(port), self.popen)
        return self


def local_environment():
    """The environment without proxies and without settings of mogr's own: everything here is on this machine."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith("MOGR_")
    }


class Mogr(Process):
    """`mogr serve` on free ports, with these configuration texts."""

    def __init__(self, binary, folder, config, styles="", env=None):
        folder = pathlib.Path(folder)
        (folder / "mogr.toml").write_text(f'data_dir = "{folder}/data"\n{config}', encoding="utf-8")
        (folder / "styles.toml").write_text(styles, encoding="utf-8")
        command = [binary, "serve", "--config", folder / "mogr.toml", "--styles", folder / "styles.toml"]
        command += ["--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"]
        super().__init__("mogr", command, folder / "mogr.log", env)

    def __enter__(self):
        try:
            line = wait_until("mogr", lambda: READY_LINE.search(self.log.read_text(errors="replace")), self.popen)
            self.delivery, self.api = line.groups()
            wait_until("/healthz", lambda: request(self.api, "GET", "/healthz").status == 200, self.popen)
        except Exception as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def get(self, target, host="localhost", method="GET", **headers):
        """`target` goes on the wire as it stands."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return request(self.delivery, method, target, {"Host": host, **headers})


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def __repr__(self):
        return f"<{self.status} {self.headers.get('Content-Type')} {self.body[:160]!r}>"


def request(address, method, target, headers=None, body=None, seconds=60):
    connection = http.client.HTTPConnection(address, timeout=seconds)
    try:
        connection.request(method, target, body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def quote(key):
    """A key as the path of a URL."""
    return "/" + urllib.parse.quote(key)


def folder():
    return tempfile.TemporaryDirectory(prefix="mogr-test-")
