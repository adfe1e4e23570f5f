//! `mogr health`: asks a running server, so that a container needs no other program to do so.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};

/// Asks the API listener at `api` for its health.
///
/// # Errors
/// Where it does not answer 200 within three seconds.
pub async fn health(api: SocketAddr) -> anyhow::Result<()> {
    let url = format!("http://{api}/healthz");
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build()?;
    let status = client.get(&url).send().await.with_context(|| format!("no answer from {url}"))?.status();
    if !status.is_success() {
        bail!("{url} answered {status}");
    }
    Ok(())
}
