//! Tests that use wschat as its users do: the built binary, real sockets, real processes. They are one test binary, so that
//! it is linked once and slow tests run in parallel. `cargo test --test it killed` runs those of a file.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

mod account;
mod adopt;
mod authorizer;
mod bucket;
mod chat;
mod client;
mod cloudformation;
mod conditions;
mod custom_resources;
mod domains;
mod drift;
mod eject;
mod events;
mod faults;
mod handover;
mod hints;
mod hostile;
mod http_api;
mod iam;
mod identified;
mod integrations;
mod killed;
mod layers;
mod live_traffic;
mod local_cloud;
mod local_process;
mod logs;
mod lookups;
mod manners;
mod minimal_change;
mod mistakes;
mod neighbours;
mod no_outage;
mod ownership;
mod queue;
mod refused;
mod rest_api;
mod rollback;
mod round_trips;
mod s3;
mod sam;
mod sent_ahead;
mod services;
mod settings;
mod validate;
mod versions;
