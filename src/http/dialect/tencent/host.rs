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
