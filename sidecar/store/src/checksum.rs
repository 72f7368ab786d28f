//! A short checksum, for what no hash of the chain covers.

/// The first `N` bytes of the content's BLAKE3.
pub fn checksum<const N: usize>(content: &[u8]) -> [u8; N] {
    let mut check = [0; N];
    blake3::Hasher::new()
        .update(content)
        .finalize_xof()
        .fill(&mut check);
    check
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn a_checksum_is_the_beginning_of_the_hash_and_changes_with_every_bit() {
        let whole = *blake3::hash(b"content").as_bytes();
        assert_eq!(checksum::<8>(b"content"), whole[..8]);
        assert_eq!(checksum::<4>(b"content"), whole[..4]);
        assert_ne!(checksum::<8>(b"content"), checksum::<8>(b"contenu"));
    }
}
