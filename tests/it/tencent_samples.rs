//! Tencent CI's samples as its documents show them, element by element, the errors that this server makes, and lists.

use reqwest::Method;

use crate::server::{Answer, Server};
use crate::tencent_jobs::{CI, authorization, job, send, server, text};

/// Names of elements whose texts differ from run to run.
const VARIABLE: [&str; 8] =
    ["JobId", "QueueId", "TemplateId", "RequestId", "CreationTime", "CreateTime", "UpdateTime", "NextToken"];

/// A document with `*` for every text that differs from run to run, and is not empty.
fn steady(answer: &Answer) -> String {
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/xml"), "{}", answer.text());
    let mut body = answer.text().to_owned();
    for name in VARIABLE {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let pieces: Vec<String> = body.split(&open).map(str::to_owned).collect();
        let rest = pieces[1..].iter().map(|piece| {
            let (value, rest) = piece.split_once(&close).unwrap();
            let star = if value.is_empty() { "" } else { "*" };
            format!("{open}{star}{close}{rest}")
        });
        body = std::iter::once(pieces[0].clone()).chain(rest).collect();
    }
    let start = body.find("<Response>").unwrap();
    body[start..].split('\n').map(str::trim).collect()
}

/// A server whose bucket is enabled, with its queue's id.
async fn enabled() -> (Server, String) {
    let server = server().await;
    let enabled = send(&server, Method::POST, "/picbucket", "").await;
    assert_eq!(enabled.status, 200, "{}", enabled.text());
    let queue = text(&send(&server, Method::GET, "/picqueue", "").await, "QueueId");
    assert!(queue.len() == 33 && queue.starts_with('p'), "{queue}");
    (server, queue)
}

/// Holds what is submitted, so that its state is known.
async fn pause(server: &Server, queue: &str) -> Answer {
    let body =
        "<Request><Name>held</Name><State>Paused</State><NotifyConfig><State>Off</State></NotifyConfig></Request>";
    send(server, Method::PUT, &format!("/picqueue/{queue}"), body).await
}

const INPUT: &str = "<Input><BucketId>photos-1250000000</BucketId><Object>card.jpg</Object><Region>ap-chongqing</Region>\
                     </Input>";

/// `JobsDetail` of a job of the table below, in a state.
fn detail(state: &str, end: &str, output: &str) -> String {
    format!(
        "<JobsDetail><Code>Success</Code><Message/><JobId>*</JobId><State>{state}</State><CreationTime>*\
         </CreationTime><StartTime>-</StartTime>{end}<QueueId>*</QueueId><Tag>PicProcess</Tag>{INPUT}<Operation>\
         <PicProcess><IsPicInfo>false</IsPicInfo><ProcessRule>imageMogr2/strip</ProcessRule></PicProcess><Output><Bucket>\
         photos-1250000000</Bucket><Object>{output}</Object><Region>ap-chongqing</Region></Output><UserData/>\
         <JobLevel>0</JobLevel></Operation></JobsDetail>"
    )
}

#[tokio::test]
async fn jobs_are_spelled_as_the_samples() {
    let (server, queue) = enabled().await;
    pause(&server, &queue).await;
    let waiting = format!("<Response>{}</Response>", detail("Pause", "<EndTime>-</EndTime>", "a.jpg"));
    for path in ["/pic_jobs", "/jobs"] {
        let submitted = send(&server, Method::POST, path, &job("imageMogr2/strip", "a.jpg")).await;
        assert_eq!(steady(&submitted), waiting);
        let id = text(&submitted, "JobId");
        assert_eq!(steady(&send(&server, Method::GET, &format!("{path}/{id}"), "").await), waiting);
        let both = send(&server, Method::GET, &format!("{path}/{id},c0,c1"), "").await;
        let missing = "<NonExistJobIds>c0</NonExistJobIds><NonExistJobIds>c1</NonExistJobIds></Response>";
        assert_eq!(steady(&both), waiting.replace("</Response>", missing));
        for _ in 0..2 {
            let cancelled = send(&server, Method::PUT, &format!("{path}/{id}?cancel"), "").await;
            assert_eq!((cancelled.status.as_u16(), cancelled.body.len()), (200, 0));
        }
        let gone = send(&server, Method::GET, &format!("{path}/{id}"), "").await;
        assert_eq!(text(&gone, "State"), "Cancel");
        assert_ne!(text(&gone, "EndTime"), "-");
    }
}

#[tokio::test]
async fn queues_templates_and_the_switch_are_spelled_as_the_samples() {
    let (server, queue) = enabled().await;
    let bucket = "<BucketId>photos-1250000000</BucketId><Name>photos-1250000000</Name><Region>ap-chongqing</Region>\
                  <CreateTime>*</CreateTime>";
    let page = "<RequestId>*</RequestId><TotalCount>1</TotalCount><PageNumber>1</PageNumber><PageSize>10</PageSize>";
    let held = "<QueueId>*</QueueId><Name>held</Name><State>Paused</State><NotifyConfig><Url/><Event/><Type/>\
                <State>Off</State><ResultFormat/></NotifyConfig><MaxSize>10000</MaxSize>\
                <MaxConcurrent>10</MaxConcurrent><CreateTime>*</CreateTime><UpdateTime>*</UpdateTime>\
                <BucketId>photos-1250000000</BucketId><Category>PicProcessing</Category>";
    let updated = pause(&server, &queue).await;
    assert_eq!(steady(&updated), format!("<Response><RequestId>*</RequestId><Queue>{held}</Queue></Response>"));
    let rule =
        "<PicProcess><IsPicInfo>true</IsPicInfo><ProcessRule>imageMogr2/thumbnail/!50p</ProcessRule></PicProcess>";
    let template = format!("<Request><Tag>PicProcess</Tag><Name>half</Name>{rule}</Request>");
    let created = send(&server, Method::POST, "/template", &template).await;
    let spelled = format!(
        "<Tag>PicProcess</Tag><Name>half</Name><TemplateId>*</TemplateId><BucketId>photos-1250000000</BucketId><Category>\
         Custom</Category><CreateTime>*</CreateTime><UpdateTime>*</UpdateTime>{rule}"
    );
    let one = format!("<Response><RequestId>*</RequestId><Template>{spelled}</Template></Response>");
    assert_eq!(steady(&created), one);
    let id = text(&created, "TemplateId");
    let path = format!("/template/{id}");
    for (method, target, body, expected) in [
        (Method::GET, "/picqueue", "", format!("<Response>{page}<QueueList>{held}</QueueList></Response>")),
        (Method::GET, "/queue?state=Paused", "", format!("<Response>{page}<QueueList>{held}</QueueList></Response>")),
        (
            Method::GET,
            "/picqueue?queueIds=p0",
            "",
            format!("<Response>{}<NonExistPIDs>p0</NonExistPIDs></Response>", page.replace(">1</Total", ">0</Total")),
        ),
        (Method::GET, "/template", "", format!("<Response>{page}<TemplateList>{spelled}</TemplateList></Response>")),
        (Method::PUT, &path, &template, one),
        (
            Method::DELETE,
            &path,
            "",
            "<Response><RequestId>*</RequestId><TemplateId>*</TemplateId></Response>".to_owned(),
        ),
        (Method::GET, "/picbucket", "", format!("<Response>{page}<PicBucketList>{bucket}</PicBucketList></Response>")),
        (
            Method::POST,
            "/picbucket",
            "",
            format!("<Response><RequestId>*</RequestId><PicBucket>{bucket}</PicBucket></Response>"),
        ),
        (
            Method::DELETE,
            "/picbucket",
            "",
            "<Response><RequestId>*</RequestId><BucketName>photos-1250000000</BucketName></Response>".to_owned(),
        ),
    ] {
        assert_eq!(steady(&send(&server, method, target, body).await), expected, "{target}");
    }
}

/// Keys of the outputs of a list, from page to page.
async fn walked(server: &Server, query: &str) -> Vec<String> {
    let (mut keys, mut token) = (Vec::new(), String::new());
    loop {
        let page = send(server, Method::GET, &format!("{query}&tag=PicProcess&nextToken={token}"), "").await;
        assert_eq!(page.status, 200, "{}", page.text());
        let outputs = page.text().to_owned();
        let found = outputs.split("<Output>").skip(1).filter_map(|it| it.split("<Object>").nth(1)?.split('<').next());
        keys.extend(found.map(str::to_owned));
        assert!(keys.len() <= 5, "pages end");
        token = text(&page, "NextToken");
        if token.is_empty() {
            return keys;
        }
    }
}

#[tokio::test]
async fn lists_are_filtered_and_end() {
    let (server, queue) = enabled().await;
    pause(&server, &queue).await;
    let mut ids = Vec::new();
    for output in ["0", "1", "2", "3", "4"] {
        let source = if output == "4" { "other.jpg" } else { "card.jpg" };
        let body = job("imageMogr2/strip", output).replace("card.jpg", source);
        let submitted = send(&server, Method::POST, "/pic_jobs", &body).await;
        ids.push(text(&submitted, "JobId"));
    }
    send(&server, Method::PUT, &format!("/jobs/{},{}?cancel", ids[1], ids[3]), "").await;
    for path in ["/pic_jobs", "/jobs"] {
        for (query, expected) in [
            // Jobs of one millisecond are in the order of their ids: only what is listed is compared.
            ("orderByTime=Asc&size=2", "01234"),
            ("orderByTime=Desc&size=2", "01234"),
            ("size=1&states=Cancel", "13"),
            ("states=Pause,Cancel&size=2", "01234"),
            ("States=Pause", "024"),
            ("states=Submitted", ""),
            ("states=Running,Success,Failed", ""),
            ("startCreationTime=2020-01-01T00:00:00%2B0800&endCreationTime=2999-01-01T00:00:00+0800", "01234"),
            ("endCreationTime=2020-01-01T00:00:00%2B0800", ""),
            ("startCreationTime=2999-01-01T00:00:00%2B0800", ""),
            ("workflowId=w1", ""),
            ("inputObject=card.jpg&size=3", "0123"),
            ("inputObject=other.jpg&states=Pause", "4"),
            ("inputObject=card", ""),
        ] {
            let mut keys = walked(&server, &format!("{path}?{query}")).await;
            keys.sort();
            assert_eq!(keys.concat(), expected, "{path}?{query}");
        }
        let mut descending = walked(&server, &format!("{path}?orderByTime=Desc&size=2")).await;
        descending.reverse();
        assert_eq!(walked(&server, &format!("{path}?orderByTime=Asc&size=3")).await, descending);
    }
}

/// Status, code and a word of the message, with all five fields there.
fn assert_fails(answer: &Answer, resource: &str, (status, code, word): (u16, &str, &str)) {
    assert_eq!((answer.status.as_u16(), text(answer, "Code").as_str()), (status, code), "{}", answer.text());
    assert!(text(answer, "Message").contains(word), "{word}: {}", answer.text());
    assert_eq!((text(answer, "Resource").as_str(), answer.header("content-type")), (resource, "application/xml"));
    assert!(!text(answer, "RequestId").is_empty() && !text(answer, "TraceId").is_empty(), "{}", answer.text());
}

#[tokio::test]
async fn errors_have_their_codes() {
    let (server, queue) = enabled().await;
    let own = format!("/picqueue/{queue}");
    let template = |name: &str, rule: &str| {
        format!(
            "<Request><Tag>PicProcess</Tag><Name>{name}</Name><PicProcess><ProcessRule>{rule}</ProcessRule></PicProcess>\
             </Request>"
        )
    };
    let named = template("half", "imageMogr2/strip");
    assert_eq!(send(&server, Method::POST, "/template", &named).await.status, 200);
    let queue_of = |state: &str, notify: &str| {
        format!("<Request><Name>n</Name><State>{state}</State><NotifyConfig>{notify}</NotifyConfig></Request>")
    };
    let good = job("imageMogr2/strip", "a");
    let with = |more: &str| good.replace("</Operation>", &format!("{more}</Operation>"));
    let to_mq = queue_of("Active", "<State>On</State><Event>TaskFinish</Event><Type>TDMQ</Type>");
    let without_event = queue_of("Active", "<State>On</State>");
    for (method, target, body, expected) in [
        (Method::GET, "/nothing", String::new(), (404, "InvalidUrl", "/nothing")),
        (Method::GET, "/pic_jobs", String::new(), (400, "InvalidArgument", "tag")),
        (Method::GET, "/pic_jobs?tag=PicProcess&size=101", String::new(), (400, "InvalidArgument", "size")),
        (Method::GET, "/jobs?tag=PicProcess&states=Done", String::new(), (400, "InvalidArgument", "states")),
        (Method::GET, "/jobs?tag=PicProcess&orderByTime=Up", String::new(), (400, "InvalidArgument", "orderByTime")),
        (Method::GET, "/jobs?tag=PicProcess&nextToken=x", String::new(), (400, "InvalidArgument", "nextToken")),
        (Method::GET, "/jobs?tag=PicProcess&startCreationTime=x", String::new(), (400, "InvalidArgument", "start")),
        (Method::GET, "/jobs?tag=PicProcess&queueId=p0", String::new(), (404, "QueueNotFound", "p0")),
        (Method::PUT, "/jobs/c0?cancel", String::new(), (404, "ResourceNotFound", "c0")),
        (Method::POST, "/jobs", with("<TemplateId>t0</TemplateId>"), (404, "TemplateNotFound", "t0")),
        (Method::POST, "/jobs", job("style/none", "a"), (404, "NoSuchStyle", "none")),
        (Method::POST, "/template", template("b", "style/none"), (404, "NoSuchStyle", "none")),
        (Method::POST, "/jobs", with("<JobLevel>3</JobLevel>"), (400, "InvalidArgument", "JobLevel")),
        (Method::POST, "/jobs", with("<UserData>é</UserData>"), (400, "InvalidArgument", "UserData")),
        (Method::PUT, "/picqueue/p0", queue_of("Active", ""), (404, "QueueNotFound", "p0")),
        (Method::PUT, &own, String::new(), (400, "MissingContent", "no body")),
        (Method::PUT, &own, queue_of("Idle", ""), (400, "InvalidArgument", "Idle")),
        (Method::PUT, &own, without_event, (400, "InvalidArgument", "Event")),
        (Method::PUT, &own, to_mq, (501, "NotImplemented", "TDMQ")),
        (Method::GET, "/picqueue?pageSize=101", String::new(), (400, "InvalidArgument", "pageSize")),
        (Method::POST, "/template", "<Request>".to_owned(), (400, "InvalidContent", "Request")),
        (Method::POST, "/template", named.clone(), (400, "TemplateNameDuplicate", "half")),
        (Method::POST, "/template", template("b", "imageMogr2/nothing"), (400, "InvalidArgument", "nothing")),
        (Method::PUT, "/template/t0", named.clone(), (404, "TemplateNotFound", "t0")),
        (Method::DELETE, "/template/t0", String::new(), (404, "TemplateNotFound", "t0")),
    ] {
        let answer = send(&server, method, target, &body).await;
        assert_fails(&answer, target.split('?').next().unwrap(), expected);
    }
    assert!(walked(&server, "/pic_jobs?size=10").await.is_empty());
}

#[tokio::test]
async fn errors_before_a_document_is_read() {
    let server = server().await;
    let good = authorization(("AK", "SK"), CI, (&Method::POST, "/jobs"));
    let late = {
        let (head, rest) = good.split_once("q-sign-time=").unwrap();
        format!("{head}q-sign-time=1;2&q-key-time=1;2{}", &rest[rest.find("&q-header-list").unwrap()..])
    };
    for (authorization, md5, expected) in [
        ("", "", (401, "MissingAuthorization", "")),
        ("q-sign-algorithm=md5", "", (401, "InvalidAuthorization", "")),
        (&good.replace("q-ak=AK", "q-ak=NOBODY"), "", (401, "SecretidNotExist", "")),
        (&good.replace("q-signature=", "q-signature=0"), "", (401, "InvalidAuthorization", "")),
        (&late, "", (401, "SignatureExpired", "")),
        (&good, "AAAA", (400, "InvalidContent", "Content-MD5")),
    ] {
        let mut headers = vec![("host", CI)];
        headers.extend([("authorization", authorization), ("content-md5", md5)].iter().filter(|it| !it.1.is_empty()));
        let answer = server.api_send(Method::POST, "/jobs", &headers, "<Request/>").await;
        assert_fails(&answer, "/jobs", expected);
    }
}
