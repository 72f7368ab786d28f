//! Whole numbers in LEB128: seven bits a byte, the lowest first, the top bit set on all but the last.

/// Appends `value`.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let byte = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// Takes a value off the front; `None` when it is cut short, too long, or not the shortest form.
pub(super) fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if bits.leading_zeros() < shift {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return (bits != 0 || shift == 0).then_some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_and_leaves_what_follows() {
        for value in [
            0,
            1,
            127,
            128,
            300,
            u64::from(u32::MAX),
            u64::MAX - 1,
            u64::MAX,
        ] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            bytes.push(9);
            let mut rest = bytes.as_slice();
            assert_eq!(take_varint(&mut rest), Some(value));
            assert_eq!(rest, [9]);
        }
    }

    #[test]
    fn cut_overlong_and_too_large_forms_are_refused() {
        for bytes in [&[0x80][..], &[0x80, 0x00], &[0xff; 10], &[]] {
            assert_eq!(take_varint(&mut &*bytes), None, "{bytes:x?}");
        }
    }
}
