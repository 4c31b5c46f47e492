//! The content of layers. What is not to be built is packaged as it is; the rest is built as a function's code is, and put into the
//! folder where the runtime looks for it (Lambda developer guide, "Packaging your layer content"; SAM's CLI does the same).

use super::Code;
use crate::core::stack::Build;
use crate::machine::interpreter::Language;

/// The folder of a layer that is built for a runtime; empty where the build makes all folders itself.
pub(super) fn subfolder(runtime: &str) -> &'static str {
    match Language::of(runtime) {
        Some(Language::Node) => "nodejs",
        Some(Language::Python) => "python",
        None => "",
    }
}

/// A layer that is to be built for a runtime, as the code of a function of that runtime; `None` for runtimes without a build.
pub(super) fn as_function(code: &Code, runtime: &str) -> Option<(Code, Language)> {
    let language = Language::of(runtime)?;
    // A layer has no handler; that of code with layers may be elsewhere, so it is not looked for.
    let function = Code { runtime: runtime.to_owned(), build: Build::Ordinary, layers: true, ..code.clone() };
    Some((function, language))
}
