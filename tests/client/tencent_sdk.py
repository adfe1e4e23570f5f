"""Tencent's official SDK for Python, pointed at mogr by nothing but its proxy: queues, templates, jobs, objects, refusals.

    python tests/client/tencent_sdk.py target/debug/mogr
"""

import json
import pathlib
import random
import sys

import harness
import pictures
from qcloud_cos import CosConfig, CosS3Client, CosServiceError
from qiniu_pfop import Receiver

SECRET_ID, SECRET_KEY = "AKIDsdk", "SKsdk"
REGION, BUCKET = "ap-chongqing", "test-1250000000"
RULE = "imageMogr2/rotate/90"
BROKEN = b"<Request>\n<Tag>PicProcess</Tag>\n<CallBackFormat>JSON<CallBackFormat>\n</Request>"


def configuration(folder):
    return f"""
[keys.{SECRET_ID}]
secret = "{SECRET_KEY}"

[keys.OTHER]
secret = "OTHER"
buckets = ["other"]

[buckets.test]
url = "{(folder / 'test').as_uri()}"
dialect = "tencent"

[buckets.other]
url = "memory:"

[fetch]
allow = ["127.0.0.0/8"]
"""


def client_of(mogr, identity=SECRET_ID, secret=SECRET_KEY):
    proxies = {"http": f"http://{mogr.api}"}
    config = CosConfig(Region=REGION, SecretId=identity, SecretKey=secret, Scheme="http", Proxies=proxies)
    return CosS3Client(config, retry=0)


class Session:
    def __init__(self, mogr, receiver):
        self.mogr, self.receiver, self.cos, self.queue = mogr, receiver, client_of(mogr), None

    def submit(self, output, **more):
        operation = {
            "PicProcess": {"IsPicInfo": "true", "ProcessRule": RULE},
            "Output": {"Region": REGION, "Bucket": BUCKET, "Object": output},
        }
        operation.update(more.pop("Operation", {}))
        jobs = {"Tag": "PicProcess", "QueueId": self.queue, "Input": {"Object": "input/deer.jpg"}, "Operation": operation}
        jobs.update(more)
        return self.cos.ci_create_media_pic_jobs(Bucket=BUCKET, Jobs=jobs, Lst={})["JobsDetail"][0]

    def job(self, identity):
        return self.cos.ci_get_media_pic_jobs(Bucket=BUCKET, JobIDs=identity)["JobsDetail"][0]

    def ended(self, identity):
        def found():
            job = self.job(identity)
            return job if job["State"] not in ("Submitted", "Running") else None

        return harness.wait_until(f"job {identity}", found)

    def set_state(self, state, **notify):
        config = {"State": "Off", **notify}
        request = {"Name": "mine", "QueueID": self.queue, "State": state, "NotifyConfig": config}
        return data(self.cos.ci_update_media_pic_queue(BUCKET, self.queue, request, ContentType="application/xml"))

    def body(self, key):
        return self.cos.get_object(Bucket=BUCKET, Key=key)["Body"].get_raw_stream().read()


def data(answer):
    """Some calls of the SDK return headers and data, some data alone."""
    return answer[1] if isinstance(answer, tuple) else answer


def refused(call):
    try:
        call()
    except CosServiceError as error:
        assert error.get_request_id() and error.get_resource_location(), error.get_digest_msg()
        return error.get_status_code(), error.get_error_code()
    return None


def setting_up(checks, session):
    cos = session.cos
    opened = data(cos.ci_open_pic_bucket(BUCKET))
    checks.equal("the bucket is enabled", opened["PicBucket"]["BucketId"], BUCKET)
    queues = data(cos.ci_get_media_pic_queue(BUCKET))["QueueList"]
    checks.equal("it has one queue", (len(queues), queues[0]["State"]), (1, "Active"))
    session.queue = queues[0]["QueueId"]
    checks.equal("buckets are listed", data(cos.ci_get_pic_bucket(REGION))["PicBucketList"][0]["Name"], BUCKET)
    cos.put_object(Bucket=BUCKET, Key="input/deer.jpg", Body=pictures.jpeg())
    checks.equal("an object comes back", session.body("input/deer.jpg"), pictures.jpeg())


def templates(checks, session):
    template = {"Tag": "PicProcess", "Name": "half", "PicProcess": {"IsPicInfo": "true", "ProcessRule": "imageMogr2/thumbnail/!50p"}}
    made = session.cos.ci_create_template(Bucket=BUCKET, Template=template)["Template"]
    identity = made["TemplateId"]
    checks.that("its id has the vendor's form", identity.startswith("t1") and len(identity) == 34, identity)
    listed = session.cos.ci_get_template(Bucket=BUCKET)["TemplateList"]
    checks.equal("it is listed", [one["Name"] for one in listed], ["half"])
    duplicate = refused(lambda: session.cos.ci_create_template(Bucket=BUCKET, Template=template))
    checks.equal("a second of the name is refused", duplicate, (400, "TemplateNameDuplicate"))
    job = session.ended(session.submit("output/half.jpg", Operation={"TemplateId": identity, "PicProcess": ""})["JobId"])
    checks.equal("a job uses it", (job["State"], job["Operation"].get("TemplateName")), ("Success", "half"))
    checks.equal("of half the size", pictures.open_bytes(session.body("output/half.jpg")).size[0], pictures.WIDTH // 2)
    session.cos.ci_delete_template(Bucket=BUCKET, TemplateId=identity)
    missing = refused(lambda: session.submit("output/x.jpg", Operation={"TemplateId": identity}))
    checks.equal("once deleted it is not found", missing, (404, "TemplateNotFound"))


def jobs(checks, session):
    for form in ["XML", "JSON"]:
        output = f"output/{form}.jpg"
        submitted = session.submit(output, CallBack=session.receiver.url, CallBackFormat=form)
        job = session.ended(submitted["JobId"])
        checks.equal("it succeeded", (job["State"], job["Code"]), ("Success", "Success"))
        result = job["Operation"]["PicProcessResult"]
        size = pictures.open_bytes(session.body(output)).size
        checks.equal("turned", size, (pictures.HEIGHT, pictures.WIDTH))
        told = (int(result["ProcessResult"]["Width"]), int(result["ProcessResult"]["Height"]))
        checks.equal("its size is told", told, size)
        checks.equal("and the source's", result["OriginalInfo"]["ImageInfo"]["Width"], str(pictures.WIDTH))
        _, headers, body = session.receiver.received.get(timeout=harness.START_SECONDS)
        checks.equal("the callback's type", headers["Content-Type"], f"application/{form.lower()}")
        if form == "JSON":
            detail = json.loads(body)["JobsDetail"][0]
            checks.equal("the callback", (detail["JobId"], detail["Operation"]["JobLevel"]), (job["JobId"], 0))
        else:
            checks.that("the callback", b"<EventName>TaskFinish</EventName>" in body and job["JobId"].encode() in body, body)


def queues(checks, session):
    checks.equal("the queue is paused", session.set_state("Paused")["Queue"][0]["State"], "Paused")
    held = session.submit("output/held.jpg")["JobId"]
    checks.equal("a job waits", session.job(held)["State"], "Pause")
    session.cos.ci_cancel_jobs(Bucket=BUCKET, JobID=held)
    checks.equal("it is cancelled", session.job(held)["State"], "Cancel")
    checks.equal("the queue goes on", session.set_state("Active")["Queue"][0]["State"], "Active")
    seen, token = [], ""
    for _ in range(20):
        page = session.cos.ci_list_media_pic_jobs(
            Bucket=BUCKET, QueueId=session.queue, Tag="PicProcess", States="Success,Cancel", Size=1, NextToken=token
        )
        seen += [job["JobId"] for job in page.get("JobsDetail", [])]
        token = page.get("NextToken")
        if not token:
            break
    checks.equal("every job is on one page", (len(seen), len(set(seen)), seen[0]), (4, 4, held))


def objects(checks, session):
    one = {"is_pic_info": 1, "rules": [{"fileid": "small.png", "rule": "imageView2/2/w/40/format/png"}]}
    two = {"is_pic_info": 0, "rules": [*one["rules"], {"fileid": "/flat/turned.jpg", "rule": RULE}]}
    for what, operations, count in [("one rule", one, 1), ("two rules", two, 2)]:
        _, put = session.cos.ci_put_object(Bucket=BUCKET, Body=pictures.jpeg(), Key="input/up.jpg", PicOperations=json.dumps(operations))
        _, again = session.cos.ci_image_process(Bucket=BUCKET, Key="input/up.jpg", PicOperations=json.dumps(operations))
        for answer in [put, again]:
            results = answer["ProcessResults"]["Object"]
            results = results if isinstance(results, list) else [results]
            checks.equal(what, (len(results), results[0]["Key"], results[0]["Width"]), (count, "input/small.png", "40"))
    small = pictures.open_bytes(session.body("input/small.png"))
    checks.equal("it is stored", small.size[0], 40)
    local = str(session.folder / "got.png")
    session.cos.ci_get_object(Bucket=BUCKET, Key="input/up.jpg", DestImagePath=local, Rule="imageMogr2/thumbnail/!50p|imageMogr2/format/png")
    checks.equal("a rule at GET", pictures.open_bytes(pathlib.Path(local).read_bytes()).size[0], pictures.WIDTH // 2)
    _, info = session.cos.ci_get_image_info(Bucket=BUCKET, Key="input/up.jpg")
    info = info if isinstance(info, (bytes, str)) else info.get_raw_stream().read()
    checks.equal("facts", int(json.loads(info)["width"]), pictures.WIDTH)
    session.cos.delete_object(Bucket=BUCKET, Key="input/up.jpg")
    checks.equal("it is gone", refused(lambda: session.body("input/up.jpg")), (404, "NoSuchKey"))


def uploads_in_parts(checks, session):
    cos, key = session.cos, "input/large.bin"
    content = random.Random(5).randbytes((5 << 20) // 2)
    local = session.folder / "large.bin"
    local.write_bytes(content)
    # An upload that was cut off behind its first part, which the client finds and goes on with.
    begun = cos.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    cos.upload_part(Bucket=BUCKET, Key=key, Body=content[: 1 << 20], PartNumber=1, UploadId=begun, EnableMD5=True)
    listed = cos.list_parts(Bucket=BUCKET, Key=key, UploadId=begun)["Part"]
    checks.equal("a part is listed", (listed[0]["PartNumber"], listed[0]["Size"]), ("1", str(1 << 20)))
    done = cos.upload_file(Bucket=BUCKET, Key=key, LocalFilePath=str(local), PartSize=1, MAXThread=3, EnableMD5=True)
    checks.equal("the client went on with it", refused(lambda: cos.list_parts(Bucket=BUCKET, Key=key, UploadId=begun)), (404, "NoSuchUpload"))
    checks.that("the object has all parts", session.body(key) == content)
    checks.equal("and its tag", cos.head_object(Bucket=BUCKET, Key=key)["ETag"], done["ETag"])
    checks.that("no upload is left", "Upload" not in cos.list_multipart_uploads(Bucket=BUCKET))

    begun = cos.create_multipart_upload(Bucket=BUCKET, Key="input/parts.jpg")["UploadId"]
    part = cos.upload_part(Bucket=BUCKET, Key="input/parts.jpg", Body=pictures.jpeg(), PartNumber=1, UploadId=begun)
    operations = {"is_pic_info": 1, "rules": [{"fileid": "half.png", "rule": "imageMogr2/thumbnail/!50p/format/png"}]}
    parts = {"Part": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    done = cos.complete_multipart_upload(
        Bucket=BUCKET, Key="input/parts.jpg", UploadId=begun, MultipartUpload=parts, PicOperations=json.dumps(operations))
    result = done["UploadResult"]["ProcessResults"]["Object"]
    checks.equal("what arrived in parts is processed", (result["Key"], result["Width"]), ("input/half.png", str(pictures.WIDTH // 2)))
    begun = cos.create_multipart_upload(Bucket=BUCKET, Key="input/none.jpg")["UploadId"]
    cos.abort_multipart_upload(Bucket=BUCKET, Key="input/none.jpg", UploadId=begun)
    checks.equal("an upload is given up", refused(lambda: session.body("input/none.jpg")), (404, "NoSuchKey"))


def styles(checks, session):
    cos = session.cos
    cos.put_object(Bucket=BUCKET, Key="input/styled.jpg", Body=pictures.jpeg())
    cos.ci_put_image_style(Bucket=BUCKET, Request={"StyleName": "half", "StyleBody": "imageMogr2/thumbnail/!50p"})
    _, listed = cos.ci_get_image_style(Bucket=BUCKET, Request={"StyleName": "half"})
    checks.equal("a style is told", listed["StyleRule"][0] if isinstance(listed["StyleRule"], list) else listed["StyleRule"],
                 {"StyleName": "half", "StyleBody": "imageMogr2/thumbnail/!50p"})
    made = {}
    for rule in ["style/half", "imageMogr2/thumbnail/!50p", "imageMogr2/flip/vertical|imageMogr2/rquality/50"]:
        local = str(session.folder / "made")
        cos.ci_get_object(Bucket=BUCKET, Key="input/styled.jpg", DestImagePath=local, Rule=rule)
        made[rule] = pathlib.Path(local).read_bytes()
    checks.that("a style is its rule", made["style/half"] == made["imageMogr2/thumbnail/!50p"])
    turned = pictures.open_bytes(made["imageMogr2/flip/vertical|imageMogr2/rquality/50"])
    checks.equal("a mirror keeps the size", turned.size, (pictures.WIDTH, pictures.HEIGHT))
    served = harness.request(session.mogr.delivery, "GET", "/test/input/styled.jpg!half")
    checks.that("delivery's bytes are the same", served.body == made["style/half"], f"{served!r}")
    cos.ci_delete_image_style(Bucket=BUCKET, Request={"StyleName": "half"})
    gone = refused(lambda: cos.ci_get_image_style(Bucket=BUCKET, Request={"StyleName": "half"}))
    checks.equal("a style that was deleted is gone", gone, (404, "NoSuchStyle"))
    unsigned = harness.request(session.mogr.delivery, "GET", "/test/input/styled.jpg?style/half")
    checks.equal("on delivery too", (unsigned.status, unsigned.headers["X-ErrNo"]), (404, "-105"))


def refusals(checks, session):
    before = count(session)
    wrong = client_of(session.mogr, secret="wrong")
    checks.equal("a wrong secret", refused(lambda: wrong.ci_get_media_pic_queue(BUCKET)), (401, "InvalidAuthorization"))
    checks.equal("on objects", refused(lambda: wrong.get_object(BUCKET, "input/deer.jpg")), (403, "SignatureDoesNotMatch"))
    other = client_of(session.mogr, "OTHER", "OTHER")
    checks.equal("somebody else's bucket", refused(lambda: other.ci_get_media_pic_queue(BUCKET)), (404, "NoSuchBucket"))
    unknown = refused(lambda: session.submit("o.jpg", Operation={"TemplateId": "t1" + 32 * "0"}))
    checks.equal("an unknown template", unknown, (404, "TemplateNotFound"))
    checks.equal("a message queue", refused(lambda: session.submit("o.jpg", CallBackType="TDMQ")), (501, "NotImplemented"))
    url = f"http://{BUCKET}.ci.{REGION}.myqcloud.com/pic_jobs"
    path = "/pic_jobs"
    expired = signed("POST", path, url, -10)
    broken = signed("POST", path, url, 600)
    for what, authorization, wanted, words in [
        ("an expired signature", expired, 401, b"SignatureExpired"),
        ("a broken document", broken, 400, b"line 4, column 1: expected &lt;/CallBackFormat&gt;, found &lt;/Request&gt;"),
    ]:
        headers = {"Host": f"{BUCKET}.ci.{REGION}.myqcloud.com", "Authorization": authorization}
        answer = harness.request(session.mogr.api, "POST", url, headers, BROKEN)
        checks.that(what, answer.status == wanted and words in answer.body, f"{answer!r} {answer.body!r}")
    checks.equal("no job came of any of this", count(session), before)


def signed(method, path, url, seconds):
    import requests
    from qcloud_cos import CosS3Auth

    config = CosConfig(Region=REGION, SecretId=SECRET_ID, SecretKey=SECRET_KEY)
    request = requests.Request(method, url, data=BROKEN, headers={"Host": f"{BUCKET}.ci.{REGION}.myqcloud.com"}).prepare()
    return CosS3Auth(config, key=path, expire=seconds)(request).headers["Authorization"]


def count(session):
    page = session.cos.ci_list_media_pic_jobs(Bucket=BUCKET, QueueId=session.queue, Tag="PicProcess", Size=100)
    return len(page.get("JobsDetail", []))


def main(binary):
    checks, receiver = harness.Checks(), Receiver()
    with harness.folder() as folder:
        folder = pathlib.Path(folder)
        (folder / "test").mkdir()
        with harness.Mogr(binary, folder, configuration(folder)) as mogr:
            session = Session(mogr, receiver)
            session.folder = folder
            for name, group in [
                ("setting up", setting_up),
                ("templates", templates),
                ("jobs", jobs),
                ("queues", queues),
                ("objects", objects),
                ("uploads in parts", uploads_in_parts),
                ("styles", styles),
                ("refusals", refusals),
            ]:
                checks.group(name, group, session)
    checks.finish()


if __name__ == "__main__":
    main(sys.argv[1])
