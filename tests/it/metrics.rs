//! `/metrics`: what is counted, under names that do not grow.

use crate::cards;
use crate::server::Server;

const CONFIG: &str = "[keys.AK]\nsecret = \"SK\"\n[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n";

#[tokio::test]
async fn a_node_that_only_runs_jobs_answers_probes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("objects")).unwrap();
    let url = url::Url::from_directory_path(folder.path().join("objects")).unwrap();
    std::fs::write(folder.path().join("mogr.toml"), format!("[buckets.default]\nurl = \"{url}\"\n")).unwrap();
    let node = crate::process::Process::start_worker(folder.path());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (path, expected) in [("healthz", "ok"), ("readyz", "\"ready\":true"), ("metrics", "mogr_workers ")] {
        let answer = client.get(format!("http://{}/{path}", node.api)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(expected), "{path}: {text}");
    }
    assert_eq!(client.get(format!("http://{}/pfop", node.api)).send().await.unwrap().status(), 404);
    node.stop();
}

#[tokio::test]
async fn everything_is_counted() {
    let server = Server::configured(CONFIG, "", &[("secret-key.png", &cards::png(cards::quadrants(64, 48)))]).await;
    for _ in 0..3 {
        assert_eq!(server.get("/secret-key.png?imageView2/2/w/32").await.summary(), "png 32x24");
    }
    assert_eq!(server.get("/nosuch.png").await.status, 404);
    server.send(reqwest::Method::from_bytes(b"BREW").unwrap(), "/secret-key.png", &[]).await;
    let answer = server.api("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"));
    for line in [
        "mogr_requests_total{listener=\"delivery\",method=\"GET\",status=\"200\"} 3",
        "mogr_requests_total{listener=\"delivery\",method=\"GET\",status=\"404\"} 1",
        "mogr_requests_total{listener=\"delivery\",method=\"other\",status=\"405\"} 1",
        "mogr_request_seconds_count{listener=\"delivery\"} 5",
        "mogr_results_total{cache=\"hit\"} 2",
        "mogr_results_total{cache=\"miss\"} 1",
        "mogr_stage_seconds_count{stage=\"fetch\"} 1",
        "mogr_stage_seconds_count{stage=\"wait\"} 1",
        "mogr_stage_seconds_count{stage=\"decode\"} 1",
        "mogr_stage_seconds_count{stage=\"ops\"} 1",
        "mogr_stage_seconds_count{stage=\"encode\"} 1",
        "mogr_queue_length 0",
        "mogr_workers_busy 0",
        "mogr_cache_entries 1",
        "mogr_notifications{state=\"dead\"} 0",
        "mogr_notifications{state=\"pending\"} 0",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
    for name in [
        "mogr_sent_bytes_total{listener=\"delivery\"} ",
        "mogr_connections{listener=\"api\"} ",
        "mogr_workers ",
        "mogr_cache_bytes ",
        "mogr_resident_memory_bytes ",
        "mogr_start_time_seconds ",
    ] {
        let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}\n{text}"));
        assert!(value.parse::<f64>().unwrap() >= 1.0, "{name}{value}");
    }
    assert!(!text.contains("secret-key") && !text.contains("127.0.0.1"), "{text}");
}
