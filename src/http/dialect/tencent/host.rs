//! The vendor's host names: `<bucket>.<ci|cos|pic>.<region>.myqcloud.com`.

/// Which of the vendor's services a host is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// Jobs, queues, templates.
    Ci,
    /// Objects.
    Cos,
    /// Styles.
    Pic,
}

impl Service {
    /// The service that a call without one in its host is for. No object of these names can be had that way.
    pub(super) fn of_call(path: &str, query: &str) -> Self {
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let is_about = |name: &str| query.split('&').any(|member| member.split('=').next() == Some(name));
        match first {
            "pic_jobs" | "jobs" | "picqueue" | "queue" | "picbucket" | "template" => Self::Ci,
            "" if is_about("style") || is_about("origin-protect") => Self::Pic,
            _ => Self::Cos,
        }
    }
}

/// The region of hosts that tell none.
const OWN_REGION: &str = "local";

/// A host name of the vendor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// The bucket with its account's number; empty where the host is of no bucket.
    pub bucket: String,
    /// The service.
    pub service: Service,
    /// The region.
    pub region: String,
    /// As sent, with its port where it has one.
    pub sent: String,
}

impl Host {
    /// The host that `sent` is; `None` where it is none of the vendor's.
    pub(super) fn parse(sent: &str) -> Option<Self> {
        let lower = sent.to_ascii_lowercase();
        let bare = lower.split(':').next().unwrap_or_default();
        let name = [".myqcloud.com", ".tencentcos.cn"].iter().find_map(|domain| bare.strip_suffix(domain))?;
        let labels: Vec<&str> = name.split('.').collect();
        let (bucket, service, region) = match labels.as_slice() {
            [bucket, service, region] => (*bucket, *service, *region),
            ["ci", region] => ("", "ci", *region),
            _ => return None,
        };
        let service = match service {
            "ci" => Service::Ci,
            "cos" => Service::Cos,
            "pic" => Service::Pic,
            _ => return None,
        };
        Some(Self { bucket: bucket.to_owned(), service, region: region.to_owned(), sent: sent.to_owned() })
    }

    /// Any other host, of a call to `service`: `<bucket>.localhost`, else of the bucket `default`, where there is one.
    pub(super) fn own(sent: &str, service: Service, default: Option<&str>) -> Option<Self> {
        let lower = sent.to_ascii_lowercase();
        let bare = lower.split(':').next().unwrap_or_default();
        let bucket = bare.strip_suffix(".localhost").or(default)?.to_owned();
        Some(Self { bucket, service, region: OWN_REGION.to_owned(), sent: sent.to_owned() })
    }

    /// The bucket's host for objects.
    pub(super) fn of_objects(&self) -> String {
        objects_host(&self.bucket, &self.region)
    }
}

/// The host for objects of a bucket.
pub(super) fn objects_host(bucket: &str, region: &str) -> String {
    format!("{bucket}.cos.{region}.myqcloud.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_hosts_are_of_one_bucket() {
        for (sent, default, bucket) in [
            ("127.0.0.1:8081", Some("photos"), Some("photos")),
            ("localhost", Some("photos"), Some("photos")),
            ("[::1]:80", Some("photos"), Some("photos")),
            ("Test-1.localhost:80", None, Some("test-1")),
            ("Test-1.localhost", Some("photos"), Some("test-1")),
            ("localhost:80", None, None),
        ] {
            let found = Host::own(sent, Service::Ci, default);
            assert_eq!(found.as_ref().map(|host| host.bucket.as_str()), bucket, "{sent}");
        }
    }

    #[test]
    fn services_are_told_by_paths() {
        for (path, query, service) in [
            ("/pic_jobs/c1", "", Service::Ci),
            ("/queue", "state=All", Service::Ci),
            ("/", "style=", Service::Pic),
            ("/", "origin-protect", Service::Pic),
            ("/a/jobs", "", Service::Cos),
            ("/jobs.jpg", "style/half", Service::Cos),
            ("/", "", Service::Cos),
        ] {
            assert_eq!(Service::of_call(path, query), service, "{path}?{query}");
        }
    }

    #[test]
    fn hosts_are_of_buckets_services_and_regions() {
        for (sent, bucket, service) in [
            ("test-1250000000.ci.ap-chongqing.myqcloud.com", "test-1250000000", Service::Ci),
            ("test-1250000000.cos.ap-chongqing.myqcloud.com:8080", "test-1250000000", Service::Cos),
            ("Test-1.pic.ap-beijing.tencentcos.cn", "test-1", Service::Pic),
            ("ci.ap-beijing.myqcloud.com", "", Service::Ci),
        ] {
            let found = Host::parse(sent).unwrap();
            assert_eq!((found.bucket.as_str(), found.service), (bucket, service), "{sent}");
        }
        for sent in
            ["img.example.com", "localhost:80", "cos.ap-beijing.myqcloud.com", "a.b.c.myqcloud.com", "myqcloud.com", ""]
        {
            assert_eq!(Host::parse(sent), None, "{sent}");
        }
    }
}
