//! Whatever bytes a template has, it becomes a stack, or problems that can be shown.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use time::macros::date;
use wschat::diagnostic::Problem;
use wschat::template::render::{Rendering, render};
use wschat::template::{self, expand};
use wschat::{lint, resources, stack};

/// What `wschat validate` finds, but for the code.
fn problems(bytes: &[u8]) -> Vec<Problem> {
    let parameters = BTreeMap::new();
    let mut template = match template::parse(bytes) {
        Ok(template) => template,
        Err(problems) => return problems,
    };
    let (_, scope) = lint::Assumed::make(&mut template, &parameters);
    let context = expand::Context { partition: &scope.partition, region: &scope.region, parameters: &parameters };
    let template = expand::expand(template, context);
    let survey = stack::survey(&template, &parameters, &scope, &resources::kinds());
    let warnings = lint::check(&template, &survey, date!(2026 - 11 - 23));
    template.report(survey.problems.into_iter().chain(warnings))
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    render(&problems(bytes), Rendering { file: "template.yaml", text: &text, colour: true });
});
