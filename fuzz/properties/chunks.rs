//! The same bytes in pieces of several sizes.

/// The cuttings that are tried: all in one piece, each byte alone, and pieces of sizes that follow from the bytes, so that
/// the same bytes are always cut the same way.
pub fn cuttings(bytes: &[u8]) -> [Vec<&[u8]>; 3] {
    [vec![bytes], bytes.chunks(1).collect(), uneven(bytes)]
}

fn uneven(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut state = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Mostly short pieces, sometimes a long one; and an empty one now and then.
        let longest: usize = if state >> 60 == 0 { 4096 } else { 24 };
        let size = usize::try_from(state >> 33).unwrap_or(0) % longest;
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
