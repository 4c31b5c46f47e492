//! Executables of a few hundred bytes, generated here: headers, and the sections that the dynamic loader reads.

use super::*;

const AL2023: Runtime = Runtime { name: "provided.al2023", glibc: Glibc(2, 34) };
const AL2: Runtime = Runtime { name: "provided.al2", glibc: Glibc(2, 26) };

const X86_64: u16 = 62;
const AARCH64: u16 = 183;
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// An executable to generate.
#[derive(Clone, Copy)]
struct Made<'a> {
    machine: u16,
    loader: Option<&'a str>,
    /// Symbol, the version it is bound to, and whether the version is only needed weakly.
    needs: &'a [(&'a str, &'a str, bool)],
}

impl Made<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut strings = vec![0];
        let mut string = |text: &str| {
            let at = strings.len() as u32;
            strings.extend(text.as_bytes());
            strings.push(0);
            at
        };
        let library = string("libc.so.6");
        let (mut symbols, mut indexes) = (vec![0; 24], vec![0; 2]);
        // One library, its versions right behind.
        let mut needs = [1u16, self.needs.len() as u16].map(u16::to_le_bytes).concat();
        needs.extend([library, 16, 0].map(u32::to_le_bytes).concat());
        for (at, (symbol, version, weak)) in self.needs.iter().enumerate() {
            let index = at as u16 + 2;
            symbols.extend(string(symbol).to_le_bytes());
            symbols.extend([0; 20]);
            indexes.extend(index.to_le_bytes());
            needs.extend(0u32.to_le_bytes());
            needs.extend([if *weak { 2u16 } else { 0 }, index].map(u16::to_le_bytes).concat());
            let next = if at + 1 < self.needs.len() { 16 } else { 0 };
            needs.extend([string(version), next].map(u32::to_le_bytes).concat());
        }
        let loader = self.loader.map(|loader| format!("{loader}\0").into_bytes()).unwrap_or_default();

        let mut body = Vec::new();
        let mut append = |content: &[u8]| {
            body.resize(body.len().next_multiple_of(8), 0);
            let at = 64 + 56 + body.len() as u64;
            body.extend(content);
            (at, content.len() as u64)
        };
        let loader_at = append(&loader);
        // Type, link, info, entry size, content: `.dynstr`, `.dynsym`, `.gnu.version`, `.gnu.version_r`.
        let sections: [(u32, u32, u32, u64, &[u8]); 4] = [
            (3, 0, 0, 0, &strings),
            (11, 1, 1, 24, &symbols),
            (0x6fff_ffff, 2, 0, 2, &indexes),
            (0x6fff_fffe, 1, 1, 0, &needs),
        ];
        let mut table = vec![0; 64];
        for (kind, link, info, entry, content) in sections {
            let (at, length) = append(content);
            table.extend([0, kind].map(u32::to_le_bytes).concat());
            table.extend([0, 0, at, length].map(u64::to_le_bytes).concat());
            table.extend([link, info].map(u32::to_le_bytes).concat());
            table.extend([8, entry].map(u64::to_le_bytes).concat());
        }
        let (table_at, _) = append(&table);

        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend([3u16, self.machine].map(u16::to_le_bytes).concat());
        file.extend(1u32.to_le_bytes());
        file.extend([0, 64, table_at].map(u64::to_le_bytes).concat());
        file.extend(0u32.to_le_bytes());
        let segments = u16::from(self.loader.is_some());
        file.extend([64, 56, segments, 64, 5, 1].map(u16::to_le_bytes).concat());
        file.extend([3u32, 4].map(u32::to_le_bytes).concat());
        file.extend([loader_at.0, 0, 0, loader_at.1, loader_at.1, 1].map(u64::to_le_bytes).concat());
        file.extend(body);
        file
    }
}

fn lambda(runtime: Runtime, architecture: Architecture) -> Platform {
    Platform::Lambda { runtime, architecture }
}

#[test]
fn executables_that_lambda_cannot_run_are_rejected() {
    let plain = Made { machine: X86_64, loader: Some(LOADER), needs: &[] };
    let needs = |needs| Made { needs, ..plain };
    let cases = [
        ("static", Made { loader: None, ..plain }, AL2, Architecture::X86_64, ""),
        ("as new as the runtime", needs(&[("read", "GLIBC_2.34", false)]), AL2023, Architecture::X86_64, ""),
        (
            "newer",
            needs(&[
                ("read", "GLIBC_2.2.5", false),
                ("pidfd_spawnp", "GLIBC_2.39", false),
                ("log", "GLIBC_2.29", false),
            ]),
            AL2023,
            Architecture::X86_64,
            "it needs GLIBC_2.39 (for `pidfd_spawnp`), and provided.al2023 has glibc 2.34",
        ),
        (
            "numbers are not decimals",
            needs(&[("f", "GLIBC_2.4", false), ("g", "GLIBC_2.27", false)]),
            AL2,
            Architecture::X86_64,
            "it needs GLIBC_2.27 (for `g`), and provided.al2 has glibc 2.26",
        ),
        (
            "newer, but only weakly",
            needs(&[("pidfd_spawnp", "GLIBC_2.39", true), ("read", "GLIBC_2.34", false)]),
            AL2023,
            Architecture::X86_64,
            "",
        ),
        (
            "no version of glibc",
            needs(&[("f", "GLIBC_ABI_DT_RELR", false), ("g", "GCC_4.2.0", false)]),
            AL2,
            Architecture::X86_64,
            "",
        ),
        ("another processor", plain, AL2023, Architecture::Arm64, "it was built for x86_64, but aarch64 is required"),
        (
            "arm64",
            Made { machine: AARCH64, loader: Some("/lib/ld-linux-aarch64.so.1"), ..plain },
            AL2023,
            Architecture::Arm64,
            "",
        ),
        (
            "an unknown processor",
            Made { machine: 243, ..plain },
            AL2023,
            Architecture::X86_64,
            "it was built for machine 243 (ELF e_machine), but x86_64 is required",
        ),
        (
            "a dynamic musl",
            Made { loader: Some("/lib/ld-musl-x86_64.so.1"), ..plain },
            AL2023,
            Architecture::X86_64,
            "it needs the dynamic loader /lib/ld-musl-x86_64.so.1, but Lambda has /lib64/ld-linux-x86-64.so.2",
        ),
    ];
    for (name, made, runtime, architecture, expected) in cases {
        let said =
            check(&made.bytes(), &lambda(runtime, architecture)).err().map(|incompatible| incompatible.to_string());
        assert_eq!(said.unwrap_or_default(), expected, "{name}");
    }
}

#[test]
fn malformed_executables_are_rejected_without_a_panic() {
    let platform = lambda(AL2023, Architecture::X86_64);
    assert_eq!(check(b"#!/bin/sh\nexec ./server\n", &platform), Ok(()));
    let whole = Made { machine: X86_64, loader: Some(LOADER), needs: &[("read", "GLIBC_2.40", false)] }.bytes();
    let mut shared = whole.clone();
    shared[5] = 2;
    let mut object = whole.clone();
    object[16] = 1;
    let foreign = [b"".to_vec(), b"plain text".to_vec(), b"\xcf\xfa\xed\xfe\x0c\0\0\x01".to_vec(), shared, object];
    for bytes in foreign {
        assert!(check(&bytes, &platform).is_err(), "{bytes:02x?}");
    }
    for length in 0..whole.len() {
        assert!(check(&whole[..length], &platform).is_err(), "cut off at {length}");
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        // Any result is fine, a panic is not.
        let _ = check(&bytes, &platform);
    }
}

#[test]
fn this_machine_accepts_only_its_own_architecture() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(check(&own, &Platform::Host), Ok(()));
    if OS == "linux" && ["x86_64", "aarch64"].contains(&ARCH) {
        let machine = if ARCH == "aarch64" { X86_64 } else { AARCH64 };
        let other = Made { machine, loader: None, needs: &[] }.bytes();
        assert!(
            matches!(check(&other, &Platform::Host), Err(Incompatible::Architecture { required, .. }) if required == ARCH)
        );
        assert!(matches!(check(b"text", &Platform::Host), Err(Incompatible::Foreign(_))));
    }
}
