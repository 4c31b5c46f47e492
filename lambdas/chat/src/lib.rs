//! Shared by the four chat handlers.
//!
//! The path of an invocation:
//!
//! ```text
//! Lambda --run--> Event --> the handler --> Answer
//!                             |    |
//!                             |    +--> Gateway (`@connections`: post to a connection, get its info)
//!                             +-------> Connections (the table of open connections)
//! ```
//!
//! Everything that depends on where the handlers run comes from the function's environment (`environment`) and from the
//! events.

mod connections;
mod environment;
mod error;
mod event;
mod gateway;
#[cfg(feature = "testing")]
pub mod testing;

pub use connections::Connections;
pub use environment::{init, table};
pub use error::Error;
pub use event::{Answer, Event};
pub use gateway::{Delivery, Gateway, Gateways};

use lambda_runtime::{LambdaEvent, service_fn};

/// The SDK allocates much for each call: with this allocator a post takes a quarter less CPU time.
#[cfg(target_env = "gnu")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Handles invocations one after the other, as long as the execution environment exists.
///
/// A handler's `Err` becomes the invocation's error: Lambda counts and logs it, and API Gateway sends the client
/// "Internal server error".
///
/// # Errors
/// When the Runtime API cannot be reached.
pub async fn run(handler: impl AsyncFn(Event) -> Result<Answer, Error>) -> Result<(), Error> {
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| handler(event.payload)))
        .await
        .map_err(|error| Error::new("talk to the Lambda Runtime API", error))
}
