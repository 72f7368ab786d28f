//! What indexes and stored bytes rely on.

use boboyka_strand::{Flags, Hash};
use serde_json::json;

#[test]
fn the_prefix_is_the_first_four_bytes_so_that_prefixes_sort_as_hashes_do() {
    let mut bytes = [0; 32];
    bytes[..5].copy_from_slice(&[0x12, 0x34, 0x56, 0x78, 0x9a]);
    assert_eq!(Hash::from_bytes(bytes).prefix(), 0x1234_5678);
}

#[test]
fn a_flag_that_is_set_twice_is_set() {
    let flags = Flags::BLOB.with(Flags::MUTATION).with(Flags::BLOB);
    assert_eq!(flags.bits(), 12);
    assert!(flags.contains(Flags::BLOB) && flags.contains(Flags::MUTATION));
}

#[test]
fn what_is_no_hash_is_refused_with_what_a_hash_is() {
    let error = serde_json::from_value::<Hash>(json!(7)).unwrap_err();
    let expected = "expected a hash: 64 hexadecimal digits or 32 bytes";
    assert!(error.to_string().contains(expected), "{error}");
}
