//! What tests of the services open that have Cloud Control's records.

use std::sync::Arc;
use std::time::Duration;

use crate::local::context::CloudContext;
use crate::local::context::conditions::Conditions;
use crate::local::context::store::Store;

/// A context with an empty folder, where changes take no time.
pub fn context() -> (CloudContext, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut conditions = Conditions::default();
    conditions.eventual.resource_changing = Duration::ZERO;
    let context = CloudContext {
        port: 0,
        store: Store::open(folder.path()).unwrap(),
        conditions: Arc::new(conditions),
        ca_bundle: folder.path().join("ca.pem"),
        recorder: Arc::default(),
        hosts: Default::default(),
    };
    (context, folder)
}
