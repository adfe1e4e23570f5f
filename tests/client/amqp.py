"""Owners who are told by message queues: a RabbitMQ that comes, goes and comes back, and Tencent's SDK that names its queues.

    python tests/client/amqp.py target/debug/mogr
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import harness
import pika
import tencent_sdk
from tencent_sdk import BUCKET, Session

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
QUEUE = {"MqRegion": "bj", "MqMode": "Queue", "MqName": "q1"}


class Broker:
    """A RabbitMQ in a folder of its own, which keeps what it has taken from one start to the next."""

    def __init__(self, folder):
        self.folder, self.port, self.names = folder, harness.free_port(), harness.free_port()
        self.environment = {
            **harness.local_environment(),
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self.names),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": f"mogr-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(harness.free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        }
        self.process = None

    def start(self):
        self.process = harness.Process("rabbitmq", [SERVER], self.folder / "rabbitmq.log", self.environment)
        harness.wait_until("rabbitmq", self.answers, self.process.popen, seconds=120)

    def answers(self):
        try:
            self.connection().close()
            return True
        except pika.exceptions.AMQPError:
            return False

    def connection(self):
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port))

    def stop(self):
        self.process.__exit__(None, None, None)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        self.process.__exit__(kind, error, trace)
        environment = self.environment
        subprocess.run(["epmd", "-port", str(self.names), "-kill"], env=environment, capture_output=True, check=False)

    def declare(self):
        with self.connection() as connection:
            channel = connection.channel()
            channel.queue_declare("q1", durable=True)
            channel.exchange_declare("t1", "fanout", durable=True)
            for reader in ("r1", "r2"):
                channel.queue_declare(reader, durable=True)
                channel.queue_bind(reader, "t1")

    def next(self, queue):
        """Properties and body of the next message."""

        def found():
            with self.connection() as connection:
                method, properties, body = connection.channel().basic_get(queue, auto_ack=True)
                return method and (properties, body)

        return harness.wait_until(f"a message in {queue}", found, seconds=90)


def by_queue(checks, session, broker):
    job = session.submit("output/a.jpg", CallBackType="TDMQ", CallBackFormat="JSON", CallBackMqConfig=QUEUE)
    properties, body = broker.next("q1")
    told = json.loads(body)["JobsDetail"]
    checks.equal("the queue has the job's end", [job["JobId"] for job in told], [job["JobId"]])
    checks.equal("as JSON that outlives the broker", (properties.content_type, properties.delivery_mode), ("application/json", 2))
    checks.that("under a name of its own", bool(properties.message_id), properties)


def by_topic(checks, session, broker):
    topic = {**QUEUE, "MqMode": "Topic", "MqName": "t1"}
    session.submit("output/b.jpg", CallBackType="TDMQ", CallBackFormat="XML", CallBackMqConfig=topic)
    for reader in ("r1", "r2"):
        properties, body = broker.next(reader)
        checks.that(f"{reader} reads it as XML", properties.content_type == "application/xml" and b"<JobId>" in body, body)


def by_the_queue_of_the_bucket(checks, session, broker):
    shown = session.set_state("Active", State="On", Event="TaskFinish", Type="TDMQ", ResultFormat="JSON", **QUEUE)
    notify = shown["Queue"][0]["NotifyConfig"]
    checks.equal("the queue's settings are shown", {name: notify[name] for name in QUEUE}, QUEUE)
    session.submit("output/c.jpg")
    checks.that("its jobs are told of", b"output/c.jpg" in broker.next("q1")[1])
    session.set_state("Active", State="Off")


def after_a_while(checks, session, broker):
    broker.stop()
    job = session.submit("output/d.jpg", CallBackType="TDMQ", CallBackFormat="JSON", CallBackMqConfig=QUEUE)
    checks.equal("a job ends without its broker", session.ended(job["JobId"])["State"], "Success")
    broker.start()
    checks.that("which is told when it is back", job["JobId"].encode() in broker.next("q1")[1])


def nowhere(checks, session, broker):
    lost = {**QUEUE, "MqName": "nobody"}
    job = session.submit("output/e.jpg", CallBackType="TDMQ", CallBackFormat="JSON", CallBackMqConfig=lost)
    session.ended(job["JobId"])
    with broker.connection() as connection:
        connection.channel().queue_declare("nobody", durable=True)
    checks.that("a queue may come later than its message", job["JobId"].encode() in broker.next("nobody")[1])
    for changed in ({"MqRegion": "mars"}, {"MqName": "a b"}, {"MqMode": "Fanout"}, {"MqName": ""}):
        refused = tencent_sdk.refused(
            lambda: session.submit("output/f.jpg", CallBackType="TDMQ", CallBackMqConfig={**QUEUE, **changed})
        )
        checks.equal(f"{changed} is refused", refused, (400, "InvalidArgument"))


def main():
    checks = harness.Checks()
    with tempfile.TemporaryDirectory(prefix="mogr-amqp-") as folder:
        folder = pathlib.Path(folder)
        for name in ("broker", "test"):
            (folder / name).mkdir()
        with Broker(folder / "broker") as broker:
            broker.declare()
            config = f'[jobs]\namqp = "amqp://guest:guest@127.0.0.1:{broker.port}"\n' + tencent_sdk.configuration(folder)
            with harness.Mogr(sys.argv[1], folder, config) as mogr:
                session = Session(mogr, None)
                checks.group("the bucket", tencent_sdk.setting_up, session)
                for group in (by_queue, by_topic, by_the_queue_of_the_bucket, after_a_while, nowhere):
                    checks.group(group.__name__.replace("_", " "), group, session, broker)
    checks.finish()


if __name__ == "__main__":
    main()
