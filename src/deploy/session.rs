//! A stack in AWS during a run: the caller's identity, and the resources that exist.

use std::collections::BTreeSet;
use std::panic;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::read::{self, ReadError};
use crate::aws::client::{Aws, ConnectError};
use crate::aws::providers::{Discovery, Search};
use crate::core::types::Live;
use crate::core::words::Scope;

/// A stack in AWS, which is being read.
#[derive(Debug)]
pub struct Session {
    aws: Arc<Aws>,
    /// The first reading, until it is asked for.
    reading: Option<Reading>,
    /// What readings have found of log groups that were there before their functions.
    earlier_groups: BTreeSet<String>,
}

/// A reading that began before the account and the resources to look for were known. They are set while it runs, so
/// this is the one value that is set from outside of a task.
#[derive(Debug)]
struct Reading {
    discovery: Arc<Discovery>,
    task: Task<Result<Vec<Live>, ReadError>>,
}

impl Session {
    /// Begins to read. Everything is listed before the account is known.
    pub fn begin(aws: Arc<Aws>) -> Self {
        let discovery = Arc::new(Discovery::default());
        let task = Task::spawn({
            let (aws, discovery) = (Arc::clone(&aws), Arc::clone(&discovery));
            async move { read::read(&aws, &discovery).await }
        });
        Self { aws, reading: Some(Reading { discovery, task }), earlier_groups: BTreeSet::new() }
    }

    /// What makes the calls.
    pub fn aws(&self) -> &Arc<Aws> {
        &self.aws
    }

    /// Asks who is calling. Its error says more than that of a reading when there is no answer, so it comes first.
    ///
    /// # Errors
    /// No credentials, or an endpoint that does not answer.
    pub async fn identify(&self) -> Result<&Scope, ConnectError> {
        self.aws.identify().await
    }

    /// What AWS has: for the first time the reading that has begun, else a new one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(&mut self, search: Search) -> Result<Vec<Live>, ReadError> {
        let search = Search { earlier_groups: self.earlier_groups.clone(), ..search };
        let live = match self.reading.take() {
            Some(Reading { discovery, task }) => {
                discovery.set(search);
                task.end().await
            }
            None => read::read(&self.aws, &Discovery::from(search)).await,
        }?;
        self.earlier_groups.extend(read::earlier_groups(&live));
        Ok(live)
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
pub(super) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(super) fn spawn(task: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }

    /// Waits for it.
    pub(super) async fn end(mut self) -> T {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(reason) => panic::resume_unwind(reason),
                // Only the runtime's end ends it before its owner does.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
