//! Checks from an executable's headers, before anything is uploaded, that its platform can run it. Lambda itself notices
//! only when it starts the function, and then reports no more than `Runtime.ExitError`.

use std::env::consts::{ARCH, OS};
use std::path::Path;

use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionTable, Sym};
use object::{Endianness, FileKind};

use super::error::{PackageError, PackageErrorKind};
use super::platform::{Architecture, Glibc, Platform, Runtime};

type Header = FileHeader64<Endianness>;

/// Why a platform cannot run an executable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Incompatible {
    #[error("it is not a 64-bit {0} executable")]
    Foreign(&'static str),
    #[error("it was built for {built}, but {required} is required")]
    Architecture { built: String, required: &'static str },
    #[error("it needs GLIBC_{needed}{}, and {} has glibc {}", by(.symbol.as_deref()), .runtime.name, .runtime.glibc)]
    Glibc { needed: Glibc, symbol: Option<String>, runtime: Runtime },
    #[error("it needs the dynamic loader {loader}, but Lambda has {known}")]
    Loader { loader: String, known: &'static str },
    #[error("it is damaged: {0}")]
    Damaged(object::Error),
}

fn by(symbol: Option<&str>) -> String {
    symbol.map(|symbol| format!(" (for `{symbol}`)")).unwrap_or_default()
}

impl From<object::Error> for Incompatible {
    fn from(error: object::Error) -> Self {
        Self::Damaged(error)
    }
}

impl Incompatible {
    /// The error for the executable (or the zip that contains it) at `path`.
    pub fn of(self, path: &Path, platform: &Platform) -> PackageError {
        let mut error = PackageError::new("use the code", format!("{} cannot run: {self}", path.display()))
            .help(format!("build it for {platform}"));
        error.kind = PackageErrorKind::Incompatible;
        error
    }
}

/// Checks that `platform` can run `executable` (a file's content). Scripts are not checked.
///
/// # Errors
/// The first reason why it cannot.
pub(super) fn check(executable: &[u8], platform: &Platform) -> Result<(), Incompatible> {
    if executable.starts_with(b"#!") {
        return Ok(());
    }
    match platform {
        Platform::Host => check_host(executable),
        Platform::Lambda { runtime, architecture } => check_lambda(executable, *runtime, *architecture),
    }
}

/// As `check`, of an executable that was not built here, at `path`: if this machine cannot run it, that is a warning. Then
/// its function alone fails here, and the rest of the application works.
///
/// # Errors
/// Why Lambda cannot run it.
pub(super) fn check_or_warn(
    executable: &[u8],
    path: &Path,
    platform: &Platform,
) -> Result<Option<String>, PackageError> {
    match (check(executable, platform), platform) {
        (Ok(()), _) => Ok(None),
        (Err(incompatible), Platform::Host) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok(Some(format!("{name} cannot run on this machine, so the function fails here: {incompatible}")))
        }
        (Err(incompatible), Platform::Lambda { .. }) => Err(incompatible.of(path, platform)),
    }
}

fn check_host(executable: &[u8]) -> Result<(), Incompatible> {
    match (OS, FileKind::parse(executable)) {
        ("linux", Ok(FileKind::Elf64)) => {
            let header = Header::parse(executable)?;
            check_machine(header, header.endian()?, ARCH)
        }
        ("linux", _) => Err(Incompatible::Foreign("Linux (ELF)")),
        ("macos", Ok(FileKind::MachO64 | FileKind::MachOFat32 | FileKind::MachOFat64)) => Ok(()),
        ("macos", _) => Err(Incompatible::Foreign("macOS (Mach-O)")),
        _ => Ok(()),
    }
}

fn check_lambda(executable: &[u8], runtime: Runtime, architecture: Architecture) -> Result<(), Incompatible> {
    if !matches!(FileKind::parse(executable), Ok(FileKind::Elf64)) {
        return Err(Incompatible::Foreign("Linux (ELF)"));
    }
    let header = Header::parse(executable)?;
    let endian = header.endian()?;
    let kind = header.e_type(endian);
    if endian != Endianness::Little || (kind != elf::ET_EXEC && kind != elf::ET_DYN) {
        return Err(Incompatible::Foreign("Linux (ELF)"));
    }
    check_machine(header, endian, architecture.rust())?;

    for segment in header.program_headers(endian, executable)? {
        if let Some(loader) = segment.interpreter(endian, executable)?
            && loader != architecture.loader().as_bytes()
        {
            let loader = String::from_utf8_lossy(loader).into_owned();
            return Err(Incompatible::Loader { loader, known: architecture.loader() });
        }
    }
    match newest_glibc(header, endian, executable)? {
        Some((needed, symbol)) if needed > runtime.glibc => Err(Incompatible::Glibc { needed, symbol, runtime }),
        _ => Ok(()),
    }
}

/// Checks the machine type. `required` is Rust's name; names that are not known here are not checked.
fn check_machine(header: &Header, endian: Endianness, required: &'static str) -> Result<(), Incompatible> {
    let machine = header.e_machine(endian);
    let built = match machine {
        elf::EM_X86_64 => "x86_64".to_owned(),
        elf::EM_AARCH64 => "aarch64".to_owned(),
        other => format!("machine {} (ELF e_machine)", other.0),
    };
    let known = ["x86_64", "aarch64"].contains(&required);
    if known && built != required { Err(Incompatible::Architecture { built, required }) } else { Ok(()) }
}

/// The newest glibc version that the loader requires, and a symbol that needs it. `None` for static executables.
fn newest_glibc(
    header: &Header,
    endian: Endianness,
    executable: &[u8],
) -> Result<Option<(Glibc, Option<String>)>, Incompatible> {
    let sections = header.sections(endian, executable)?;
    let Some((mut libraries, strings)) = sections.gnu_verneed(endian, executable)? else {
        return Ok(None);
    };
    let strings = sections.strings(endian, executable, strings)?;
    let mut newest = None;
    while let Some((_, mut versions)) = libraries.next()? {
        while let Some(version) = versions.next()? {
            // The loader ignores a missing version that only weak symbols need (glibc, elf/dl-version.c).
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

/// Parses `GLIBC_2.34`. `GLIBC_PRIVATE` and `GLIBC_ABI_DT_RELR` are not versions.
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
) -> Result<Option<String>, Incompatible> {
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
