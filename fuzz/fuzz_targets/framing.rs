//! The request framer under any bytes: no panic, bounds kept, and no other outcome when the bytes come one by one.
#![no_main]

use herdsman::rest::framing::{FrameLimits, Framer, Refusal, RequestHead, Step};
use libfuzzer_sys::fuzz_target;

const LIMITS: FrameLimits = FrameLimits { header_bytes_max: 512, body_bytes_max: 256 };

type Requests = Vec<(RequestHead, Vec<u8>)>;

fn read<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> (Requests, Option<Refusal>) {
    let mut framer = Framer::new(LIMITS);
    let (mut requests, mut head, mut body) = (Vec::new(), None, Vec::new());
    for mut piece in pieces {
        while !piece.is_empty() {
            let space = framer.space();
            let length = space.len().min(piece.len());
            space[..length].copy_from_slice(&piece[..length]);
            framer.filled(length);
            piece = &piece[length..];
            loop {
                match framer.step(&mut body) {
                    Ok(Step::NeedMore) => break,
                    Ok(Step::Head(complete)) => head = Some(complete),
                    Ok(Step::Body) => assert!(body.len() <= LIMITS.body_bytes_max),
                    Ok(Step::End) => {
                        let head = head.take().expect("a head comes before an end");
                        requests.push((head, std::mem::take(&mut body)));
                    }
                    Err(refusal) => return (requests, Some(refusal)),
                }
            }
        }
    }
    (requests, None)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = read(std::iter::once(bytes));
    assert_eq!(read(bytes.chunks(1)), whole);
});
