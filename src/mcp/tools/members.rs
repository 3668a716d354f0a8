//! Pairs of texts, in little memory, and sorted in the end.
//!
//! A member of an object may be five bytes, `"":0,`, and two texts of their own take fifty; a megabyte of such members would
//! take many. So all keys are one text, all values another, and a pair is where it lies in both:
//!
//! ```text
//!   b: 1, a: [true]      keys    ba         ends   1, 1
//!                        values  1[true]           2, 7
//! ```

/// Pairs of a key and a value.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// All keys, one after the other.
    pub(super) keys: String,
    /// All values, one after the other.
    pub(super) values: String,
    /// Where each pair ends in both texts; it begins where the one before it ends.
    ends: Vec<(usize, usize)>,
}

impl Members {
    /// What was written into both texts since the last pair is the next one.
    pub(super) fn end(&mut self) {
        self.ends.push((self.keys.len(), self.values.len()));
    }

    pub(super) fn push(&mut self, key: &str, value: &str) {
        self.keys.push_str(key);
        self.values.push_str(value);
        self.end();
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All pairs in the order of their keys; those with the same key in the order of their values.
    pub(super) fn sorted(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_unstable_by_key(|index| self.pair(*index));
        order.into_iter().map(|index| self.pair(index))
    }

    /// All pairs in the order in which they came.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.len()).map(|index| self.pair(index))
    }

    fn pair(&self, index: usize) -> (&str, &str) {
        let (key, value) = index.checked_sub(1).map_or((0, 0), |before| self.ends[before]);
        let (key_end, value_end) = self.ends[index];
        (&self.keys[key..key_end], &self.values[value..value_end])
    }

    /// The memory that it takes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.keys.capacity() + self.values.capacity() + self.ends.capacity() * size_of::<(usize, usize)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_by_key_and_then_by_value() {
        let mut members = Members::default();
        for (key, value) in [("b", "1"), ("", ""), ("a", "22"), ("a", "2"), ("ab", "0")] {
            members.push(key, value);
        }
        let sorted: Vec<(&str, &str)> = members.sorted().collect();
        assert_eq!(sorted, [("", ""), ("a", "2"), ("a", "22"), ("ab", "0"), ("b", "1")]);
        assert_eq!((members.len(), members.pairs().next()), (5, Some(("b", "1"))));
    }
}
