//! What the four chat handlers share.
//!
//! The way of an invocation:
//!
//! ```text
//! Lambda --run--> Event --> the handler --> Answer
//!                             |    |
//!                             |    +--> Gateway (`@connections`: post to a connection, ask about it)
//!                             +-------> Connections (the table of who is connected)
//! ```
//!
//! Everything that differs between one place of running and another comes from the environment that Lambda gives a
//! function (`environment`) and from the events themselves.

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
pub use gateway::{Delivery, Gateway};

use lambda_runtime::{LambdaEvent, service_fn};

/// Takes invocations from Lambda one after the other, for as long as the execution environment lives.
///
/// A handler's `Err` becomes the invocation's error: Lambda counts and logs it, and API Gateway tells the client
/// "Internal server error".
///
/// # Errors
/// When the Runtime API cannot be talked to.
pub async fn run(handler: impl AsyncFn(Event) -> Result<Answer, Error>) -> Result<(), Error> {
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| handler(event.payload)))
        .await
        .map_err(|error| Error::new("talk to the Lambda Runtime API", error))
}
