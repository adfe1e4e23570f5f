"""Traces as a collector of OpenTelemetry gets them, from a build with the feature `otel`.

    python tests/client/traces.py target/debug/mogr
"""

import http.server
import pathlib
import sys
import threading

import harness
import pictures
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONFIGURATION = '[buckets.images]\nurl = "{folder}"\ndomains = ["*"]\n'


class Collector(http.server.ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP, as protobuf."""

    def __init__(self):
        self.paths, self.services, self.spans = set(), set(), []
        super().__init__(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def take(self, path, body):
        self.paths.add(path)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = [it.value.string_value for it in of_resource.resource.attributes if it.key == "service.name"]
            self.services.update(names)
            self.spans += [span for scope in of_resource.scope_spans for span in scope.spans]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def traces(checks, binary, collector, folder):
    (folder / "card.jpg").write_bytes(pictures.jpeg())
    environment = {**harness.local_environment(), "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"}
    config = CONFIGURATION.format(folder=folder.as_uri())
    # What was not sent when the server ends is sent then.
    with harness.Mogr(binary, folder, config, env=environment) as mogr:
        parent = f"00-{TRACE}-{CALLER}-01"
        checks.equal("a picture is served", mogr.get("/card.jpg?imageView2/2/w/60", traceparent=parent).status, 200)
        checks.equal("and what is not there", mogr.get("/none.jpg?imageView2/2/w/60").status, 404)
    checks.equal("spans come by OTLP", collector.paths, {"/v1/traces"})
    checks.equal("of this service", collector.services, {"mogr"})
    continued = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    requests = [span for span in continued if span.name == "request"]
    checks.equal("the caller's trace goes on", [span.parent_span_id.hex() for span in requests], [CALLER])
    below = {span.name for span in continued if requests and span.parent_span_id == requests[0].span_id}
    checks.that("steps are below the request", {"wait", "make"} <= below, below)
    others = [span for span in collector.spans if span.name == "request" and span.trace_id.hex() != TRACE]
    checks.that("requests without a caller begin their own", any(not span.parent_span_id for span in others), others)


def main():
    checks = harness.Checks()
    with harness.folder() as name, Collector() as collector:
        checks.group("traces", traces, sys.argv[1], collector, pathlib.Path(name))
    checks.finish()


main()
