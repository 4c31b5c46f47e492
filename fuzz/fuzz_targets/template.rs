//! Whatever bytes a template has, it becomes a stack or problems, and the problems can be shown.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use wschat::diagnostic::Problem;
use wschat::stack::{self, Scope, Stack};
use wschat::template::render::{Rendering, render};
use wschat::template::{self, expand};

fn read(bytes: &[u8]) -> Result<Stack, Vec<Problem>> {
    let parameters = BTreeMap::new();
    let scope = Scope {
        stack: "fuzz".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        partition: "aws".to_owned(),
    };
    let template = template::parse(bytes)?;
    let template = expand::expand(template, expand::Context { partition: "aws", region: &scope.region, parameters: &parameters });
    stack::resolve(&template, &parameters, &scope, &wschat::resources::kinds())
}

fuzz_target!(|bytes: &[u8]| {
    if let Err(problems) = read(bytes) {
        let text = String::from_utf8_lossy(bytes);
        render(&problems, Rendering { file: "template.yaml", text: &text, colour: true });
    }
});
