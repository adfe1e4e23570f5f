//! The server as its users see it: every test starts a real one on a free port and talks HTTP to it, or runs the
//! `mogr` command. By behaviour, one module each.

mod addresses;
#[cfg(feature = "sqlite")]
mod altizure_api;
#[cfg(feature = "sqlite")]
mod altizure_client;
#[cfg(feature = "sqlite")]
mod altizure_fetch;
#[cfg(feature = "sqlite")]
mod altizure_samples;
#[cfg(feature = "sqlite")]
mod altizure_tasks;
#[cfg(feature = "sqlite")]
mod altizure_upload;
mod blitline_jobs;
mod blitline_samples;
mod blitline_sources;
mod cache_origin;
#[cfg(feature = "sqlite")]
mod cache_purge;
mod cache_sources;
mod cache_store;
mod cancel;
mod cards;
mod cli;
mod client_hints;
mod credits;
mod cut_short;
mod delivery;
mod delta_e;
mod depth;
mod determinism;
mod dlcs_assets;
mod dlcs_images;
mod dlcs_queue;
mod dlcs_samples;
mod explain;
mod fast_path;
mod fop_adjust;
mod fop_image_mogr2;
mod fop_image_view2;
mod fop_layers;
mod fop_metadata;
mod fop_watermark;
mod front_doors;
mod golden;
mod helpers;
mod hostile;
mod hostile_files;
mod iiif;
#[cfg(feature = "sqlite")]
mod jobs_model;
mod jobs_pfop;
mod jobs_queue;
mod ladder;
mod logs;
mod media;
// Its predictions are those for the codecs in C.
#[cfg(all(target_os = "linux", target_env = "gnu", feature = "native"))]
mod memory;
mod metrics;
mod mutations;
#[cfg(feature = "avif")]
mod negotiation;
mod overload;
mod photos;
mod process;
mod profiles;
mod properties;
mod reference;
mod repeated;
mod resources;
mod saveas;
mod server;
mod shared_decode;
mod signed_urls;
mod slow_clients;
mod sources;
mod styles;
#[cfg(target_os = "linux")]
mod systemd;
mod tencent_get;
mod tencent_jobs;
mod tencent_multipart;
mod tencent_results;
mod tencent_samples;
mod tls;
mod turns;
mod two_speeds;
mod upload;
mod upload_callbacks;
mod upload_parts;
