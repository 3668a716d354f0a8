//! What tells objects apart: uids, generated names, tokens. Equal seeds make equal ones, in the same order.

use std::sync::PoisonError;

use rand::Rng;
use rand::rngs::StdRng;

use super::Cluster;

impl Cluster {
    fn random<T>(&self, make: impl FnOnce(&mut StdRng) -> T) -> T {
        make(&mut self.inner.random.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A bearer token. As random as the seed is secret, which is not at all where the seed is a number in a test.
    pub(crate) fn new_token(&self) -> String {
        let (high, low): (u128, u128) = self.random(|random| (random.random(), random.random()));
        format!("{high:032x}{low:032x}")
    }

    pub(crate) fn new_uid(&self) -> String {
        let bits: u128 = self.random(Rng::random);
        let bits = (bits & !(0xf << 76) | 0x4 << 76) & !(0x3 << 62) | 0x2 << 62;
        let hex = format!("{bits:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// Five characters, from the alphabet that can't spell words.
    pub(super) fn name_suffix(&self) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        self.random(|random| (0..5).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect())
    }
}
