//! Whether an executable can run where it is to run, read off its headers before anything is uploaded: Lambda itself
//! finds out only when it starts it, and then says no more than `Runtime.ExitError`.

use std::env::consts::{ARCH, OS};
use std::path::Path;

use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionTable, Sym};
use object::{Endianness, FileKind};

use super::PackageError;
use super::place::{Architecture, Glibc, Place, Runtime};

type Header = FileHeader64<Endianness>;

/// Why an executable cannot run at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("it is not a 64-bit {0} executable")]
    Foreign(&'static str),
    #[error("it was built for {built}, and {wanted} is wanted")]
    Architecture { built: String, wanted: &'static str },
    #[error("it needs GLIBC_{needed}{}, and {} has glibc {}", by(.symbol.as_deref()), .runtime.name, .runtime.glibc)]
    Glibc { needed: Glibc, symbol: Option<String>, runtime: Runtime },
    #[error("it asks for the dynamic loader {loader}, and Lambda has {known}")]
    Loader { loader: String, known: &'static str },
    #[error("it is damaged: {0}")]
    Damaged(object::Error),
}

fn by(symbol: Option<&str>) -> String {
    symbol.map(|symbol| format!(" (for `{symbol}`)")).unwrap_or_default()
}

impl From<object::Error> for Unfit {
    fn from(error: object::Error) -> Self {
        Self::Damaged(error)
    }
}

impl Unfit {
    /// The error for the executable (or the zip that holds it) at `path`.
    pub fn of(self, path: &Path, place: &Place) -> PackageError {
        let mut error = PackageError::new("use the code", format!("{} cannot run: {self}", path.display()))
            .help(format!("build it for {place}"));
        error.unfit = true;
        error
    }
}

/// Checks that `executable` (a file's content) can run at `place`. A script is left to its interpreter.
///
/// # Errors
/// The first reason why it cannot.
pub(super) fn check(executable: &[u8], place: &Place) -> Result<(), Unfit> {
    if executable.starts_with(b"#!") {
        return Ok(());
    }
    match place {
        Place::Host => check_host(executable),
        Place::Lambda { runtime, architecture } => check_lambda(executable, *runtime, *architecture),
    }
}

fn check_host(executable: &[u8]) -> Result<(), Unfit> {
    match (OS, FileKind::parse(executable)) {
        ("linux", Ok(FileKind::Elf64)) => {
            let header = Header::parse(executable)?;
            check_machine(header, header.endian()?, ARCH)
        }
        ("linux", _) => Err(Unfit::Foreign("Linux (ELF)")),
        ("macos", Ok(FileKind::MachO64 | FileKind::MachOFat32 | FileKind::MachOFat64)) => Ok(()),
        ("macos", _) => Err(Unfit::Foreign("macOS (Mach-O)")),
        _ => Ok(()),
    }
}

fn check_lambda(executable: &[u8], runtime: Runtime, architecture: Architecture) -> Result<(), Unfit> {
    if !matches!(FileKind::parse(executable), Ok(FileKind::Elf64)) {
        return Err(Unfit::Foreign("Linux (ELF)"));
    }
    let header = Header::parse(executable)?;
    let endian = header.endian()?;
    let kind = header.e_type(endian);
    if endian != Endianness::Little || (kind != elf::ET_EXEC && kind != elf::ET_DYN) {
        return Err(Unfit::Foreign("Linux (ELF)"));
    }
    check_machine(header, endian, architecture.rust())?;

    for segment in header.program_headers(endian, executable)? {
        if let Some(loader) = segment.interpreter(endian, executable)?
            && loader != architecture.loader().as_bytes()
        {
            let loader = String::from_utf8_lossy(loader).into_owned();
            return Err(Unfit::Loader { loader, known: architecture.loader() });
        }
    }
    match newest_glibc(header, endian, executable)? {
        Some((needed, symbol)) if needed > runtime.glibc => Err(Unfit::Glibc { needed, symbol, runtime }),
        _ => Ok(()),
    }
}

/// `wanted` as Rust names it; a name not known here is not checked.
fn check_machine(header: &Header, endian: Endianness, wanted: &'static str) -> Result<(), Unfit> {
    let machine = header.e_machine(endian);
    let built = match machine {
        elf::EM_X86_64 => "x86_64".to_owned(),
        elf::EM_AARCH64 => "aarch64".to_owned(),
        other => format!("machine {} (ELF e_machine)", other.0),
    };
    let known = ["x86_64", "aarch64"].contains(&wanted);
    if known && built != wanted { Err(Unfit::Architecture { built, wanted }) } else { Ok(()) }
}

/// The newest glibc version that the loader will insist on, and a symbol that needs it. `None` for static executables.
fn newest_glibc(
    header: &Header,
    endian: Endianness,
    executable: &[u8],
) -> Result<Option<(Glibc, Option<String>)>, Unfit> {
    let sections = header.sections(endian, executable)?;
    let Some((mut libraries, strings)) = sections.gnu_verneed(endian, executable)? else {
        return Ok(None);
    };
    let strings = sections.strings(endian, executable, strings)?;
    let mut newest = None;
    while let Some((_, mut versions)) = libraries.next()? {
        while let Some(version) = versions.next()? {
            // The loader lets a missing version pass if nothing but weak symbols wants it (glibc, elf/dl-version.c).
            if version.vna_flags.get(endian).contains(elf::VER_FLG_WEAK) {
                continue;
            }
            if let Some(glibc) = parse_glibc(version.name(endian, strings)?) {
                newest = newest.max(Some((glibc, version.vna_other(endian).index())));
            }
        }
    }
    let Some((glibc, index)) = newest else { return Ok(None) };
    Ok(Some((glibc, symbol_of(&sections, endian, executable, index)?)))
}

/// `GLIBC_2.34`. What glibc calls `GLIBC_PRIVATE` or `GLIBC_ABI_DT_RELR` is no version.
fn parse_glibc(name: &[u8]) -> Option<Glibc> {
    let mut numbers = str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?.split('.').map(str::parse::<u32>);
    Some(Glibc(numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The first undefined symbol that is bound to the version with this index.
fn symbol_of(
    sections: &SectionTable<'_, Header>,
    endian: Endianness,
    executable: &[u8],
    index: elf::VersionIndex,
) -> Result<Option<String>, Unfit> {
    let Some(versions) = sections.versions(endian, executable)? else { return Ok(None) };
    let symbols = sections.symbols(endian, executable, elf::SHT_DYNSYM)?;
    let symbol = symbols
        .enumerate()
        .find(|(at, symbol)| symbol.is_undefined(endian) && versions.version_index(endian, *at).index() == index);
    let name = symbol.map(|(_, symbol)| symbol.name(endian, symbols.strings())).transpose()?;
    Ok(name.map(|name| String::from_utf8_lossy(name).into_owned()))
}

#[cfg(test)]
mod tests;
