//! Networks (`client_address`), merged into intervals and searched by halves.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// Networks, one of which holds an address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Networks {
    /// First and last address of each interval, in order; no two touch.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Networks {
    /// Whether one of them holds `address`. An IPv4 address may be written as IPv6 (`::ffff:10.0.0.1`).
    pub(super) fn hold(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => among(&self.v4, address.into()),
            IpAddr::V6(address) => among(&self.v6, address.into()),
        }
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match canonical(network) {
                IpNet::V4(network) => v4.push((network.network().into(), network.broadcast().into())),
                IpNet::V6(network) => v6.push((network.network().into(), network.broadcast().into())),
            }
        }
        Self { v4: merged(v4), v6: merged(v6) }
    }
}

/// A network of IPv4 addresses written as IPv6 is one of IPv4 addresses.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpNet::V6(mapped) = network else { return network };
    let address: Option<_> = Ipv6Addr::to_ipv4_mapped(&mapped.network());
    let length = mapped.prefix_len().checked_sub(MAPPED);
    match address.zip(length).map(|(address, length)| Ipv4Net::new(address, length)) {
        Some(Ok(network)) => IpNet::V4(network),
        _ => network,
    }
}

fn merged<A: Copy + Ord>(mut intervals: Vec<(A, A)>) -> Vec<(A, A)> {
    intervals.sort_unstable();
    intervals.into_iter().fold(Vec::new(), |mut merged, (first, last)| {
        match merged.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
        merged
    })
}

fn among<A: Copy + Ord>(intervals: &[(A, A)], address: A) -> bool {
    let after = intervals.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).is_some_and(|at| address <= intervals[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        texts.iter().map(|text| text.parse::<IpNet>().unwrap()).collect()
    }

    fn hold(networks: &Networks, address: &str) -> bool {
        networks.hold(address.parse().unwrap())
    }

    #[test]
    fn networks_hold_their_first_and_last_address_and_no_other() {
        let networks = networks(&["10.1.0.0/16", "10.1.2.0/24", "192.0.2.7/32", "2001:db8::/32", "0.0.0.0/32"]);
        for address in
            ["10.1.0.0", "10.1.255.255", "10.1.2.3", "192.0.2.7", "0.0.0.0", "2001:db8::", "2001:db8:ffff::1"]
        {
            assert!(hold(&networks, address), "{address}");
        }
        for address in ["10.0.255.255", "10.2.0.0", "192.0.2.6", "192.0.2.8", "0.0.0.1", "2001:db7::1", "2001:db9::"] {
            assert!(!hold(&networks, address), "{address}");
        }
        assert!(!hold(&Networks::default(), "10.1.0.0"));
    }

    #[test]
    fn ipv4_in_the_clothes_of_ipv6_is_ipv4() {
        assert!(hold(&networks(&["10.0.0.0/8"]), "::ffff:10.1.2.3"));
        assert!(hold(&networks(&["::ffff:10.0.0.0/104"]), "10.1.2.3"));
        assert!(!hold(&networks(&["::/0"]), "::ffff:10.1.2.3"));
        assert!(!hold(&networks(&["10.0.0.0/8"]), "::10.1.2.3"), "the compatible form is no IPv4");
    }

    #[test]
    fn everything_is_one_interval() {
        let networks = networks(&["0.0.0.0/0", "128.0.0.0/1", "::/0"]);
        assert_eq!((networks.v4.len(), networks.v6.len()), (1, 1));
        assert!(hold(&networks, "255.255.255.255") && hold(&networks, "ffff::"));
    }
}
