use super::*;

const KEY: Key = [7; 32];

fn head() -> FrameHead {
    FrameHead {
        generation: 3,
        nonce: 9,
        number: 12,
        first: 40,
        last: 41,
        carry: false,
        before: [5; 16],
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let len = u32::try_from(body.len()).unwrap();
    let mut encoder = Encoder::begin(&KEY, &head(), len, &mut bytes);
    bytes.extend_from_slice(body);
    for piece in bytes.chunks(33) {
        encoder.take(piece);
    }
    bytes.extend_from_slice(&encoder.end());
    bytes.resize(frame_len(body.len()), 0);
    bytes
}

#[test]
fn what_was_framed_is_read_and_a_frame_is_as_long_as_was_said() {
    for len in [0, 1, 400, 416, 417, 5_000] {
        let body: Vec<u8> = (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let bytes = frame(&body);
        assert_eq!(bytes.len() % ALIGN, 0);
        let (found, body_len) = read_head(&bytes, &KEY).unwrap();
        assert_eq!((found, body_len as usize), (head(), len));
        assert_eq!(read_body(&bytes, body_len, &KEY).unwrap().0, body);
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let whole = frame(b"some entries");
    let checked = HEADER_LEN + b"some entries".len() + SUM_LEN;
    for bit in 0..checked * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let read = read_head(&bytes, &KEY)
            .and_then(|(_, body_len)| read_body(&bytes, body_len, &KEY).map(|_| ()));
        assert_eq!(read, None, "bit {bit}");
    }
}

#[test]
fn a_frame_of_another_life_of_the_file_does_not_hold_and_neither_does_one_cut_short() {
    let whole = frame(b"some entries");
    assert_eq!(read_head(&whole, &[8; 32]), None);
    for len in 0..whole.len() {
        let read = read_head(&whole[..len], &KEY)
            .and_then(|(_, body_len)| read_body(&whole[..len], body_len, &KEY).map(|_| ()));
        let held = len >= HEADER_LEN + b"some entries".len() + SUM_LEN;
        assert_eq!(read.is_some(), held, "{len} bytes");
    }
}
