//! The addresses of pods, all within 127.0.0.0/8, which leads to this machine.
//!
//! Where pods are listened to, each playground on the machine needs addresses of its own. So it claims one of the networks
//! 127.2.0.0/16 to 127.254.0.0/16 by listening on the first address in it, as a node does on its own, until it ends.
//! Where nobody listens there is nothing to claim, and the pods are in 127.1.0.0/16.
//!
//! An address is given out again only after all the others: who still knows it of the pod before reaches nobody, and not
//! somebody else.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

/// Where nobody listens.
const SILENT: u8 = 1;
const CLAIMABLE: RangeInclusive<u8> = 2..=254;
/// Of the node's own address. Not the 10250 of a kubelet: a real one on this machine has it on all addresses.
const NODE_PORT: u16 = 7440;
/// The node's own address in a network that was claimed.
const NODE_HOST: u16 = 1;

/// The addresses of one network.
#[derive(Debug)]
pub(super) struct Addresses {
    /// The second number of the addresses.
    network: u8,
    /// The addresses' last two numbers.
    hosts: RangeInclusive<u16>,
    /// Where to go on.
    next: u16,
    /// Those of the living. All are within `hosts`.
    taken: BTreeSet<u16>,
    /// What holds the network; nothing is ever accepted there.
    _claim: Option<TcpListener>,
}

impl Addresses {
    /// Of the network where nobody listens.
    pub(super) fn silent() -> Self {
        Self::within(SILENT, 1..=u16::MAX - 1, None)
    }

    /// Of a network of its own; `None` where there is none left, or where 127.0.0.0/8 does not lead here.
    pub(super) fn claimed() -> Option<Self> {
        CLAIMABLE.into_iter().find_map(|network| {
            let claim = TcpListener::bind((address(network, NODE_HOST), NODE_PORT)).ok()?;
            Some(Self::within(network, NODE_HOST + 1..=u16::MAX - 1, Some(claim)))
        })
    }

    fn within(network: u8, hosts: RangeInclusive<u16>, claim: Option<TcpListener>) -> Self {
        Self { network, next: *hosts.start(), hosts, taken: BTreeSet::new(), _claim: claim }
    }

    /// Gives one out: the wanted one if it is free, else the next that is; `None` where all are taken.
    pub(super) fn take(&mut self, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let wanted = wanted.and_then(|wanted| self.host(wanted)).filter(|host| !self.taken.contains(host));
        let host = wanted.or_else(|| self.next_free())?;
        self.taken.insert(host);
        Some(address(self.network, host))
    }

    /// The next one, around the network and back.
    fn next_free(&mut self) -> Option<u16> {
        let mut later = (self.next..=*self.hosts.end()).chain(*self.hosts.start()..self.next);
        let host = later.find(|host| !self.taken.contains(host))?;
        self.next = if host == *self.hosts.end() { *self.hosts.start() } else { host + 1 };
        Some(host)
    }

    /// Takes one back.
    pub(super) fn give_back(&mut self, address: Ipv4Addr) {
        if let Some(host) = self.host(address) {
            self.taken.remove(&host);
        }
    }

    /// An address's last two numbers, if it is one of these.
    fn host(&self, address: Ipv4Addr) -> Option<u16> {
        let [first, second, third, fourth] = address.octets();
        let host = u16::from_be_bytes([third, fourth]);
        (first == 127 && second == self.network && self.hosts.contains(&host)).then_some(host)
    }
}

fn address(network: u8, host: u16) -> Ipv4Addr {
    let [third, fourth] = host.to_be_bytes();
    Ipv4Addr::new(127, network, third, fourth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Addresses {
        Addresses::within(9, 1..=3, None)
    }

    #[test]
    fn an_address_comes_again_only_after_all_others_and_never_twice_at_a_time() {
        let mut addresses = small();
        let take = |addresses: &mut Addresses| addresses.take(None).map(|address| address.octets()[3]);
        assert_eq!(take(&mut addresses), Some(1));
        addresses.give_back(address(9, 1));
        assert_eq!([take(&mut addresses), take(&mut addresses)], [Some(2), Some(3)]);
        assert_eq!(take(&mut addresses), Some(1));
        assert_eq!(take(&mut addresses), None, "all are taken");
        addresses.give_back(address(9, 3));
        assert_eq!(take(&mut addresses), Some(3));
    }

    #[test]
    fn a_pod_that_has_an_address_keeps_it_unless_another_has_it_by_now() {
        let mut addresses = small();
        let wanted = Some(address(9, 2));
        assert_eq!(addresses.take(wanted), wanted);
        assert_eq!(addresses.take(wanted), Some(address(9, 1)));
        assert_eq!(addresses.take(Some(address(8, 3))), Some(address(9, 3)), "it is of another network");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn two_playgrounds_claim_two_networks() {
        let (one, other) = (Addresses::claimed().unwrap(), Addresses::claimed().unwrap());
        assert_ne!(one.network, other.network);
        assert_ne!(one.network, SILENT);
    }
}
