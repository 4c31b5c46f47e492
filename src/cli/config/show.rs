//! `wschat config`: every setting, its value, and where that comes from.

use super::settings::{Effective, variable_of};
use crate::cli::error::CommandError;
use crate::cli::exit::{Ended, Exit};
use crate::cli::parameters::Source;
use crate::cli::up;
use crate::core::stack::MASK;
use crate::ui::Ui;
use crate::ui::event::{Event, Setting, Settings};

/// Show every setting, its value, and where it comes from: an option, a variable, wschat.toml or the default
///
/// It takes the options of `wschat up`, and shows what `up` would do with them. Calls nothing.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    #[command(flatten)]
    pub(in crate::cli) up: up::Args,
}

impl Args {
    pub(in crate::cli) fn run(self, effective: Vec<Effective>, ui: &Ui) -> Result<Ended, CommandError> {
        let desired = self.up.desired();
        let target = &desired.target;
        let config = target.config()?;
        let mut settings: Vec<Setting> = Vec::new();
        for Effective { key, value, from } in effective {
            match key {
                "parameters" => settings.extend(parameters(&desired.project, target.named())?),
                "tags" => settings.extend(desired.project.tags()?.into_iter().map(|(name, value)| Setting {
                    from: if desired.project.gives_tag(&name) {
                        "--tag or WSCHAT_TAGS".to_owned()
                    } else {
                        from.clone()
                    },
                    key: format!("tags.{name}"),
                    value: Some(value),
                })),
                "stack" if value.is_none() => {
                    let (value, from) = match target.stack() {
                        Ok(name) => (Some(name), "the folder's name".to_owned()),
                        Err(_) => (None, from),
                    };
                    settings.push(Setting { key: key.to_owned(), value, from });
                }
                _ => settings.push(Setting { key: key.to_owned(), value, from }),
            }
        }
        if !ui.is_json() {
            let width = settings.iter().map(|setting| setting.key.chars().count()).max().unwrap_or(0);
            for Setting { key, value, from } in &settings {
                ui.line(format_args!("{key:width$}  {}  ({from})", value.as_deref().unwrap_or("-")));
            }
        }
        let (file, environment) = (config.path().display().to_string(), config.environment().map(str::to_owned));
        Ok(Exit::Ok.with(Event::Config(Settings { file, environment, settings })))
    }
}

/// The parameters that have values, secrets masked.
fn parameters(project: &crate::cli::project::Args, stack: Option<&str>) -> Result<Vec<Setting>, CommandError> {
    let template = if project.exists() { Some(project.read(stack)?) } else { None };
    let given = project.parameters.sources()?.into_iter();
    Ok(given
        .map(|(name, given)| {
            let may_show = template.as_ref().is_some_and(|template| template.may_show(&name));
            let from = match given.from {
                Source::Project => "wschat.toml".to_owned(),
                Source::Variable => variable_of("parameters", &name).unwrap_or_default(),
                Source::File(path) => format!("--parameter-file {}", path.display()),
                Source::Option => "--parameter".to_owned(),
            };
            let value = if may_show { given.value } else { MASK.to_owned() };
            Setting { key: format!("parameters.{name}"), value: Some(value), from }
        })
        .collect())
}
