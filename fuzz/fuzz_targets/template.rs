//! `wschat validate` ends without a crash for any bytes.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use time::macros::date;
use wschat::core::lint;
use wschat::core::template::parse;
use wschat::core::template::render::{Rendering, render};

fuzz_target!(|bytes: &[u8]| {
    let problems = lint::inspect(parse(bytes), &BTreeMap::new(), date!(2026 - 11 - 23), |_| Vec::new());
    let text = String::from_utf8_lossy(bytes);
    render(&problems, Rendering { file: "template.yaml", text: &text, colour: true });
});
