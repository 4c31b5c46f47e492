//! `wschat open`: the stack in a browser.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command as Process;
use tokio::time::timeout;

use super::endpoint::{self, part};
use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{result, target};
use crate::core::types::{Live, Part};
use crate::core::words::Scope;
use crate::deploy::read;
use crate::local::daemon::process;
use crate::ui::Ui;
use crate::ui::event::Event;

/// How long to look whether a browser starts.
const LOOK: Duration = Duration::from_secs(2);

/// What starts the default browser: of macOS, of WSL, of other systems.
const LAUNCHERS: &[&str] = if cfg!(target_os = "macos") { &["open"] } else { &["wslview", "xdg-open"] };

/// Open the local cloud's console, or the API's page in the AWS console, in the browser
///
/// Where there is no browser, only the URL is printed. The exit code is 3 when there is no stack on AWS.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: target::Deployed,
    /// Print the URL only
    #[arg(long)]
    print: bool,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) async fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        let url = if self.target.is_local() {
            self.target.start_local_cloud(ui).await?;
            let url = process::console_url(self.target.data()).await;
            url.ok_or_else(|| CommandError::new("the local cloud does not answer"))?
        } else {
            self.of_aws(ui).await?
        };
        if !ui.is_json() {
            ui.line(&url);
        }
        let opened = !self.print && browse(&url).await;
        if !self.print && !opened {
            ui.say("No browser was found here; open the URL in one.");
        }
        Ok(Exit::Ok.with(Event::Open { url, opened }))
    }

    async fn of_aws(&self, ui: &Ui) -> Result<String, CommandError> {
        if self.target.is_elsewhere() {
            let what = "--endpoint-url: what is there has no page in the AWS console";
            return Err(CommandError::new(what).exits(Exit::Usage));
        }
        let aws = self.target.connect(ui).await?;
        let live = read::entries(&aws).await?;
        match page_on_aws(aws.scope(), &live) {
            Some(page) => Ok(page),
            None => Err(endpoint::no_uri(&self.target, &aws, &live, ui).await),
        }
    }
}

/// The page in the AWS console of the API among these resources, the WebSocket API where there are several; `None` where there is
/// none.
pub(super) fn page_on_aws(scope: &Scope, live: &[Live]) -> Option<String> {
    let apis = live.iter().filter(|one| part(one) == Part::Api);
    let api = apis.min_by_key(|api| result::is_http(api))?;
    Some(console_page(scope, &api.physical_id))
}

/// The page of an API in the AWS console.
fn console_page(scope: &Scope, api: &str) -> String {
    let region = &scope.region;
    let host = match scope.partition.as_str() {
        "aws-cn" => format!("{region}.console.amazonaws.cn"),
        "aws-us-gov" => format!("{region}.console.amazonaws-us-gov.com"),
        _ => format!("{region}.console.aws.amazon.com"),
    };
    format!("https://{host}/apigateway/main/apis/{api}/routes?api={api}&region={region}")
}

/// Opens a URL in the default browser; gives whether one was started.
pub(super) async fn browse(url: &str) -> bool {
    if !has_screen() {
        return false;
    }
    for launcher in LAUNCHERS {
        let mut command = Process::new(launcher);
        command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C here must not end the browser.
        command.process_group(0);
        let Ok(mut child) = command.spawn() else { continue };
        // One that still runs is a browser, or waits for one.
        match timeout(LOOK, child.wait()).await {
            Ok(Ok(status)) if !status.success() => {}
            _ => return true,
        }
    }
    false
}

/// Whether a browser can show anything. Without a screen, launchers would start one in this terminal.
#[expect(clippy::disallowed_methods, reason = "the system sets them; they are no options of ours")]
fn has_screen() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(target_os = "macos") || ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"].into_iter().any(is_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_a_console_of_its_own() {
        for (partition, region, expected) in [
            (
                "aws",
                "eu-west-1",
                "https://eu-west-1.console.aws.amazon.com/apigateway/main/apis/a1/routes?api=a1&region=eu-west-1",
            ),
            (
                "aws-cn",
                "cn-north-1",
                "https://cn-north-1.console.amazonaws.cn/apigateway/main/apis/a1/routes?api=a1&region=cn-north-1",
            ),
            (
                "aws-us-gov",
                "us-gov-west-1",
                "https://us-gov-west-1.console.amazonaws-us-gov.com/apigateway/main/apis/a1/routes?api=a1&region=us-gov-west-1",
            ),
        ] {
            let [stack, account, region, partition] = ["s", "1", region, partition].map(str::to_owned);
            assert_eq!(console_page(&Scope { stack, account, region, partition }, "a1"), expected);
        }
    }
}
