//! `mogr run INPUT 'FOPS' [-o OUTPUT]`: the server's pipeline on a local file.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;

use crate::config::{Config, DEFAULT_BUCKET};
use crate::plan::Plan;
use crate::store::objects::Objects;
use crate::store::{Bucket, Buckets, Remote, Timeouts, guard::AddressGuard};
use crate::transform::{self, Transformer};
use crate::workers::Lane;

/// Renders `fops` over the file at `input` (`-` is standard input) into `output` (`-` or nothing is standard output).
///
/// Bare keys of watermarks name files beside the input.
///
/// # Errors
/// What is wrong with the arguments, the file or the pipeline, in words for the user.
pub async fn run(input: &str, fops: &str, output: Option<&str>) -> anyhow::Result<()> {
    let plan = Plan::parse(fops)?;
    if plan.saveas().is_some() {
        bail!("saveas: there is no bucket to store to; write the result with -o");
    }
    let (transformer, key) = if input == "-" { over_stdin().await? } else { over_file(Path::new(input))? };
    let bucket = transformer.buckets().named(DEFAULT_BUCKET)?;
    let mut identity = transformer.identify(bucket, &key, plan).await?;
    let asker = transformer.asker(Lane::default());
    let (rendered, _) = transformer.render(&mut identity, asker).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let is_text = rendered.media_type == "application/json";
    write(output, &rendered.body, is_text)
}

fn over_file(input: &Path) -> anyhow::Result<(Transformer, String)> {
    let input = input.canonicalize().with_context(|| format!("cannot read {}", input.display()))?;
    let name = input.file_name().and_then(|name| name.to_str()).context("the file's name is not UTF-8")?;
    let folder = input.parent().context("the input is not a file")?;
    let config = Config::for_directory(folder, []).map_err(|mistakes| crate::app::listed("settings", &mistakes))?;
    Ok((crate::app::transformer(&config)?, name.to_owned()))
}

async fn over_stdin() -> anyhow::Result<(Transformer, String)> {
    crate::app::install_tls();
    let settings = transform::Config::default();
    let mut body = Vec::new();
    std::io::stdin().lock().take(settings.source_bytes + 1).read_to_end(&mut body)?;
    let bucket = Bucket::over_objects(DEFAULT_BUCKET, Objects::in_memory(), Timeouts::default());
    bucket.put("stdin", Bytes::from(body), "").await?;
    let mut buckets = Buckets::default();
    buckets.add(bucket, &[]);
    let remote = Remote::new(AddressGuard::default(), Timeouts::default());
    Ok((Transformer::new(buckets.into(), remote, settings), "stdin".to_owned()))
}

fn write(output: Option<&str>, body: &[u8], is_text: bool) -> anyhow::Result<()> {
    match output {
        Some(path) if path != "-" => std::fs::write(path, body).with_context(|| format!("cannot write {path}")),
        _ => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(body)?;
            if is_text {
                stdout.write_all(b"\n")?;
            }
            Ok(stdout.flush()?)
        }
    }
}
