//! How many files and connections the process may have open.

/// Takes as many as the system allows without asking, up to what `server.connections` of both listeners and their sources need:
/// shells give 1024, which a thousand idle clients use up.
pub(crate) fn allow_many() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        const WANTED: u64 = 65_536;
        let limit = getrlimit(Resource::Nofile);
        let most = limit.maximum.map_or(WANTED, |most| most.min(WANTED));
        if limit.current.is_some_and(|current| current < most) {
            // Without it the server serves fewer at once.
            let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum });
        }
    }
}
