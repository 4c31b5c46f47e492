use std::io::{self, IsTerminal};
use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::error::CommandError;
use crate::cli::exit::{Ended, Exit};
use crate::local::daemon::data_part::DataPart;
use crate::local::daemon::process;
use crate::ui::Ui;
use crate::ui::event::Event;

/// Stop the local cloud and delete everything it holds, or one part of it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Delete only this part
    #[arg(long, value_name = "PART", value_parser = parts())]
    only: Option<DataPart>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Args {
    pub async fn run(self, data: &Path, ui: &Ui) -> Result<Ended, CommandError> {
        let what = self.only.map_or_else(|| "everything".to_owned(), |part| format!("the data of {}", part.name()));
        if !self.yes && !io::stdin().is_terminal() {
            return Err(format!("this would delete {what} in {}; pass --yes to confirm", data.display()).into());
        }
        if !self.yes && !ui.confirm(format!("Delete {what} in {}?", data.display())) {
            return Err(CommandError::new("nothing was deleted"));
        }
        let there_was_one = process::reset(data, self.only).await?;
        let part = self.only.map(|part| part.name().to_owned());
        if ui.is_json() {
            return Ok(Exit::Ok.with(Event::LocalReset { existed: there_was_one, only: part }));
        }
        match self.only {
            _ if !there_was_one => ui.line("There was no local cloud."),
            Some(part) => ui.line(format!("Deleted the local cloud's {}; everything else is kept.", part.name())),
            None => ui.line("The local cloud is gone."),
        }
        Ok(Exit::Ok.into())
    }
}

fn parts() -> impl TypedValueParser<Value = DataPart> {
    PossibleValuesParser::new(DataPart::ALL.map(DataPart::name))
        .try_map(|name| DataPart::ALL.into_iter().find(|part| part.name() == name).ok_or("unknown part"))
}
