//! `wschat cost`: what the template's stack costs, from AWS's public prices.

use super::error::CommandError;
use super::exit::{Ended, Exit};
use super::{project, target};
use crate::core::types::cost::{self, Item, Load, Of};
use crate::core::words::Scope;
use crate::ui::Ui;
use crate::ui::event::{Cost, CostItem, Event};

/// Estimate what the stack costs: idle, for a million messages, and for open connections
///
/// From AWS's public prices of us-east-1, which are in this program with their date. Calls nothing. Free tiers, stored data, what
/// handlers log and traffic are not counted.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    project: project::Args,
    #[command(flatten)]
    target: target::Args,
    /// How many clients get each message
    #[arg(long, value_name = "N", default_value = "1")]
    receivers: u32,
    /// How long a handler runs for a message, in milliseconds
    #[arg(long, value_name = "MS", default_value = "50")]
    duration: u32,
    /// How many millions of messages clients send in a month: above a billion they are cheaper
    #[arg(long, value_name = "N", default_value = "1")]
    millions: u32,
    /// Print JSON, one event per line (docs/json.md)
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    pub(super) fn run(self, ui: &Ui) -> Result<Ended, CommandError> {
        self.project.synthesise(ui)?;
        let project = self.project.read(self.target.named())?;
        let scope = Scope {
            // What a stack is called costs nothing: a folder that cannot name one needs no --stack.
            stack: self.target.named().unwrap_or("stack").to_owned(),
            account: "000000000000".to_owned(),
            region: self.target.region().unwrap_or_else(|| cost::REGION.to_owned()),
            partition: "aws".to_owned(),
        };
        let stack = project::stack(&project, &scope, false, ui)?;
        let load = Load {
            receivers: self.receivers.into(),
            milliseconds: self.duration.into(),
            messages: f64::from(self.millions) * 1e6,
        };
        let items = cost::of(&stack.resources, load);
        let total = |of: Of| {
            items.iter().filter(|item| item.of == of).map(|item| item.dollars).fold(0.0, |sum, dollars| sum + dollars)
        };
        if !ui.is_json() {
            ui.line(format_args!("Prices of {}, compared on {}, in US dollars", cost::REGION, cost::PRICES_OF));
            for (of, what) in [
                (Of::IdleMonth, "a month without messages"),
                (Of::MillionMessages, "a million messages from clients"),
                (Of::ThousandConnectionsMonth, "a thousand connections for a month"),
            ] {
                ui.line(format_args!("{:>9.2}  {what}", total(of)));
                for Item { what, how, dollars, .. } in items.iter().filter(|item| item.of == of) {
                    ui.line(format_args!("{dollars:>9.2}    {what}: {how}"));
                }
            }
            if scope.region != cost::REGION {
                ui.say(format_args!("note: the stack is for {}, where prices differ", scope.region));
            }
        }
        let cost = Cost {
            prices_of: cost::PRICES_OF.to_owned(),
            region: cost::REGION.to_owned(),
            idle_month: total(Of::IdleMonth),
            million_messages: total(Of::MillionMessages),
            thousand_connections_month: total(Of::ThousandConnectionsMonth),
            items: items.iter().map(CostItem::from).collect(),
        };
        Ok(Exit::Ok.with(Event::Cost(cost)))
    }
}

impl From<&Item> for CostItem {
    fn from(item: &Item) -> Self {
        let of = match item.of {
            Of::IdleMonth => "idle_month",
            Of::MillionMessages => "million_messages",
            Of::ThousandConnectionsMonth => "thousand_connections_month",
        };
        Self { of: of.to_owned(), what: item.what.clone(), how: item.how.clone(), dollars: item.dollars }
    }
}
