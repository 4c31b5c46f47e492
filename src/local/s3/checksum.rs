//! The checksums that clients send with objects, and S3 keeps (S3 user guide, "Checking object integrity").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;

/// An algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// As `x-amz-checksum-algorithm` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header with a value: `x-amz-checksum-crc32`.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The element with a value: `ChecksumCRC32`.
    pub fn element(self) -> String {
        format!("Checksum{}", self.name())
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }

    pub fn of_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.header().eq_ignore_ascii_case(name))
    }

    /// A sum of nothing yet.
    pub fn sum(self) -> Sum {
        match self {
            Self::Crc32 => Sum::Crc(Crc { table: &CRC32, state: u64::from(u32::MAX), width: 4 }),
            Self::Crc32c => Sum::Crc(Crc { table: &CRC32C, state: u64::from(u32::MAX), width: 4 }),
            Self::Crc64Nvme => Sum::Crc(Crc { table: &CRC64NVME, state: u64::MAX, width: 8 }),
            Self::Sha1 => Sum::Sha1(sha1::Sha1::new()),
            Self::Sha256 => Sum::Sha256(sha2::Sha256::new()),
        }
    }
}

/// A sum in the making.
pub enum Sum {
    Crc(Crc),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

/// A cyclic redundancy check with reflected bits, of 32 or 64.
pub struct Crc {
    table: &'static [u64; 256],
    state: u64,
    /// In bytes.
    width: usize,
}

impl Sum {
    pub fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(crc) => {
                for byte in bytes {
                    crc.state = crc.table[usize::from(crc.state as u8 ^ byte)] ^ (crc.state >> 8);
                }
            }
            Self::Sha1(sum) => sum.update(bytes),
            Self::Sha256(sum) => sum.update(bytes),
        }
    }

    /// The sum as headers have it, in base64.
    pub fn end(self) -> String {
        STANDARD.encode(match self {
            Self::Crc(crc) => (!crc.state).to_be_bytes()[8 - crc.width..].to_vec(),
            Self::Sha1(sum) => sum.finalize().to_vec(),
            Self::Sha256(sum) => sum.finalize().to_vec(),
        })
    }
}

static CRC32: [u64; 256] = table(0xEDB8_8320);
static CRC32C: [u64; 256] = table(0x82F6_3B78);
static CRC64NVME: [u64; 256] = table(0x9A6C_9329_AC4B_C9B5);

/// The table of a reflected polynomial.
const fn table(polynomial: u64) -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { polynomial ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogue of parametrised CRC algorithms (CRC-32/ISO-HDLC, CRC-32/ISCSI, CRC-64/NVME), and of FIPS 180.
    #[test]
    fn sums_are_those_of_the_standards() {
        for (algorithm, expected) in [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (Algorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ] {
            let mut sum = algorithm.sum();
            sum.add(b"12345");
            sum.add(b"6789");
            assert_eq!(hex::encode(STANDARD.decode(sum.end()).unwrap()), expected, "{algorithm:?}");
        }
    }
}
