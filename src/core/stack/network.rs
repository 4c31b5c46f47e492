//! The values of `Fn::Cidr` and `Fn::GetAZs`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most blocks that `Fn::Cidr` returns (CloudFormation's reference of the function).
const MAX_BLOCKS: u32 = 256;

/// The first `count` blocks of `bits` host bits in `block` (`10.0.0.0/16`), in order.
///
/// # Errors
/// Why this is not possible: a sentence.
pub(super) fn cut(block: &str, count: u32, bits: u32) -> Result<Vec<String>, String> {
    let no_block = || format!("\"{block}\" is no block of addresses such as 10.0.0.0/16");
    let (address, prefix) = block.split_once('/').ok_or_else(no_block)?;
    let address: IpAddr = address.parse().map_err(|_| no_block())?;
    let prefix: u32 = prefix.parse().map_err(|_| no_block())?;
    let (start, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    if prefix > width {
        return Err(no_block());
    }
    if !(1..=MAX_BLOCKS).contains(&count) {
        return Err(format!("Fn::Cidr gives 1 to {MAX_BLOCKS} blocks, not {count}"));
    }
    let host = width - prefix;
    let fits = (1..=host).contains(&bits) && (host - bits >= 32 || u64::from(count) <= 1 << (host - bits));
    if !fits {
        return Err(format!("{block} has no {count} blocks of {bits} bits each"));
    }
    let mask = if host == 128 { 0 } else { u128::MAX << host };
    let blocks = (0..count).map(|number| {
        let at = (start & mask) + (u128::from(number) << bits.min(127));
        let address =
            if width == 32 { IpAddr::V4(Ipv4Addr::from_bits(at as u32)) } else { IpAddr::V6(Ipv6Addr::from_bits(at)) };
        format!("{address}/{}", width - bits)
    });
    Ok(blocks.collect())
}

/// The letters of each region's availability zones, from AWS's page of regions and zones. New accounts do not see some
/// of them (us-west-1 has two of three for every account), which only AWS could tell.
const ZONES: &[(&str, &str)] = &[
    ("af-south-1", "abc"),
    ("ap-east-1", "abc"),
    ("ap-east-2", "abc"),
    ("ap-northeast-1", "acd"),
    ("ap-northeast-2", "abcd"),
    ("ap-northeast-3", "abc"),
    ("ap-south-1", "abc"),
    ("ap-south-2", "abc"),
    ("ap-southeast-1", "abc"),
    ("ap-southeast-2", "abc"),
    ("ap-southeast-3", "abc"),
    ("ap-southeast-4", "abc"),
    ("ap-southeast-5", "abc"),
    ("ap-southeast-7", "abc"),
    ("ca-central-1", "abd"),
    ("ca-west-1", "abc"),
    ("cn-north-1", "abd"),
    ("cn-northwest-1", "abc"),
    ("eu-central-1", "abc"),
    ("eu-central-2", "abc"),
    ("eu-north-1", "abc"),
    ("eu-south-1", "abc"),
    ("eu-south-2", "abc"),
    ("eu-west-1", "abc"),
    ("eu-west-2", "abc"),
    ("eu-west-3", "abc"),
    ("il-central-1", "abc"),
    ("me-central-1", "abc"),
    ("me-south-1", "abc"),
    ("mx-central-1", "abc"),
    ("sa-east-1", "abc"),
    ("us-east-1", "abcdef"),
    ("us-east-2", "abc"),
    ("us-gov-east-1", "abc"),
    ("us-gov-west-1", "abc"),
    ("us-west-1", "ac"),
    ("us-west-2", "abcd"),
];

/// The availability zones of `region`, if it is known.
pub(super) fn zones(region: &str) -> Option<Vec<String>> {
    let (_, letters) = ZONES.iter().find(|(known, _)| *known == region)?;
    Some(letters.chars().map(|letter| format!("{region}{letter}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_cut() {
        for (block, count, bits, expected) in [
            (
                "192.168.0.0/24",
                6,
                5,
                "192.168.0.0/27 192.168.0.32/27 192.168.0.64/27 192.168.0.96/27 192.168.0.128/27 192.168.0.160/27",
            ),
            ("10.1.2.3/16", 2, 8, "10.1.0.0/24 10.1.1.0/24"),
            ("0.0.0.0/0", 1, 32, "0.0.0.0/0"),
            ("2001:db8::/56", 2, 64, "2001:db8::/64 2001:db8:0:1::/64"),
            ("::/0", 1, 128, "::/0"),
        ] {
            assert_eq!(cut(block, count, bits).map(|blocks| blocks.join(" ")), Ok(expected.to_owned()), "{block}");
        }
    }

    #[test]
    fn impossible_blocks_are_refused() {
        for (block, count, bits) in [
            ("10.0.0.0", 1, 8),
            ("10.0.0/16", 1, 8),
            ("10.0.0.0/33", 1, 8),
            ("10.0.0.0/16", 0, 8),
            ("10.0.0.0/16", 257, 8),
            ("10.0.0.0/24", 3, 7),
            ("10.0.0.0/24", 1, 9),
            ("10.0.0.0/32", 1, 0),
            ("::/0", 2, 200),
        ] {
            let refusal = cut(block, count, bits);
            assert!(refusal.is_err(), "{block} {count} {bits:?}: {refusal:?}");
        }
    }
}
