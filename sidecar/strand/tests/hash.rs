//! What indexes and stored bytes rely on.

use boboyka_strand::{Flags, Hash, Header, HeaderError};
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

#[test]
fn a_header_survives_its_bytes_and_what_is_none_is_refused_for_its_field() {
    let golden = include_str!("golden/strand-v1.txt");
    let hex = golden
        .lines()
        .find_map(|line| line.strip_prefix("header 2: "))
        .unwrap();
    let digits = (0..hex.len()).step_by(2);
    let bytes: Vec<u8> = digits
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    let header = Header::decode(&bytes).unwrap();
    assert_eq!((header.seq, header.encode().to_vec()), (2, bytes.clone()));
    let with = |at: usize, byte| {
        let mut other = bytes.clone();
        other[at] = byte;
        Header::decode(&other).unwrap_err()
    };
    assert_eq!(with(0, 2), HeaderError::Version(2));
    assert_eq!(with(1, 16), HeaderError::Flags(16));
    assert_eq!(with(4, 6), HeaderError::RecordType(6));
    assert_eq!(Header::decode(&bytes[1..]), Err(HeaderError::Length(104)));
}
