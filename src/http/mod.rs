//! HTTP: the delivery listener (images) and the API listener (everything else).

pub mod api;
pub mod body;
pub mod conditional;
mod connection;
pub mod delivery;
pub mod dialect;
mod forwarded;
pub mod graphql;
pub mod health;
mod hints;
mod iiif;
pub mod jobs;
pub mod metrics;
mod negotiation;
pub mod observe;
mod places;
pub mod purge;
pub mod raw;
pub mod recent;
pub mod respond;
pub mod saveas;
pub mod served;
pub mod server;
pub mod target;
pub mod tls;
