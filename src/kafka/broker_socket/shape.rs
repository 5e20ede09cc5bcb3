//! The lengths inside of an answer, checked before it is decoded.
//!
//! `kafka-protocol` makes room for as many elements as a list says it has, whether or not the bytes are there: a
//! broken or hostile broker could ask for all memory. So each answer is walked first: every length must fit into the
//! bytes, no list may be longer than any group is, and nothing may be left over.
//!
//! On the way, what is null where the protocol has no null becomes empty: some brokers leave out what has no meaning
//! beside an error, and the error is what matters.

use bytes::{Bytes, BytesMut};

/// How many elements of lists one answer may have, with tagged fields. A group of so many workers does not exist.
const ELEMENTS_MAX: usize = 100_000;

/// How an answer is laid out, as far as lengths go.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The first version whose lengths are compact and whose structures end with tagged fields.
    flexible_since: i16,
    fields: &'static [Field],
    /// Tagged fields of the whole answer that hold lists.
    tagged: &'static [(u32, Kind)],
}

#[derive(Debug, Clone, Copy)]
struct Field {
    since: i16,
    until: i16,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// So many bytes.
    Fixed(usize),
    Text,
    /// Text that may be null.
    NullableText,
    Bytes,
    List(&'static [Field]),
    /// A list of things of so many bytes, which are no structures.
    Numbers(usize),
}

const fn since(since: i16, kind: Kind) -> Field {
    Field { since, until: i16::MAX, kind }
}

const fn until(until: i16, kind: Kind) -> Field {
    Field { since: 0, until, kind }
}

const INT16: Kind = Kind::Fixed(2);
const INT32: Kind = Kind::Fixed(4);
const INT64: Kind = Kind::Fixed(8);
const BOOLEAN: Kind = Kind::Fixed(1);

const FEATURES: Kind = Kind::List(&[since(0, Kind::Text), since(0, INT16), since(0, INT16)]);
pub(super) const API_VERSIONS: Shape = Shape {
    flexible_since: 3,
    fields: &[
        since(0, INT16),
        since(0, Kind::List(&[since(0, INT16), since(0, INT16), since(0, INT16)])),
        since(1, INT32),
    ],
    tagged: &[(0, FEATURES), (1, INT64), (2, FEATURES), (3, BOOLEAN)],
};

pub(super) const SASL_HANDSHAKE: Shape = Shape {
    flexible_since: i16::MAX,
    fields: &[since(0, INT16), since(0, Kind::List(&[since(0, Kind::Text)]))],
    tagged: &[],
};

pub(super) const SASL_AUTHENTICATE: Shape = Shape {
    flexible_since: 2,
    fields: &[since(0, INT16), since(0, Kind::NullableText), since(0, Kind::Bytes), since(1, INT64)],
    tagged: &[],
};

const PARTITIONS: Kind = Kind::List(&[
    since(0, INT16),
    since(0, INT32),
    since(0, INT32),
    since(7, INT32),
    since(0, Kind::Numbers(4)),
    since(0, Kind::Numbers(4)),
    since(5, Kind::Numbers(4)),
]);
pub(super) const METADATA: Shape = Shape {
    flexible_since: 9,
    fields: &[
        since(3, INT32),
        since(
            0,
            Kind::List(&[
                since(0, INT32),
                since(0, Kind::Text),
                since(0, INT32),
                since(1, Kind::NullableText),
            ]),
        ),
        since(2, Kind::NullableText),
        since(1, INT32),
        since(
            0,
            Kind::List(&[
                since(0, INT16),
                since(0, Kind::Text),
                since(1, BOOLEAN),
                since(0, PARTITIONS),
                since(8, INT32),
            ]),
        ),
        since(8, INT32),
    ],
    tagged: &[],
};

pub(super) const FIND_COORDINATOR: Shape = Shape {
    flexible_since: 3,
    fields: &[
        since(1, INT32),
        until(3, INT16),
        Field { since: 1, until: 3, kind: Kind::NullableText },
        until(3, INT32),
        until(3, Kind::Text),
        until(3, INT32),
        since(
            4,
            Kind::List(&[
                since(0, Kind::Text),
                since(0, INT32),
                since(0, Kind::Text),
                since(0, INT32),
                since(0, INT16),
                since(0, Kind::NullableText),
            ]),
        ),
    ],
    tagged: &[],
};

pub(super) const JOIN_GROUP: Shape = Shape {
    flexible_since: 6,
    fields: &[
        since(2, INT32),
        since(0, INT16),
        since(0, INT32),
        since(7, Kind::NullableText),
        since(0, Kind::NullableText),
        since(0, Kind::Text),
        since(9, BOOLEAN),
        since(0, Kind::Text),
        since(0, Kind::List(&[since(0, Kind::Text), since(5, Kind::NullableText), since(0, Kind::Bytes)])),
    ],
    tagged: &[],
};

pub(super) const SYNC_GROUP: Shape = Shape {
    flexible_since: 4,
    fields: &[
        since(1, INT32),
        since(0, INT16),
        since(5, Kind::NullableText),
        since(5, Kind::NullableText),
        since(0, Kind::Bytes),
    ],
    tagged: &[],
};

pub(super) const HEARTBEAT: Shape =
    Shape { flexible_since: 4, fields: &[since(1, INT32), since(0, INT16)], tagged: &[] };

pub(super) const LEAVE_GROUP: Shape = Shape {
    flexible_since: 4,
    fields: &[
        since(1, INT32),
        since(0, INT16),
        since(3, Kind::List(&[since(0, Kind::Text), since(0, Kind::NullableText), since(0, INT16)])),
    ],
    tagged: &[],
};

pub(super) const OFFSET_DELETE: Shape = Shape {
    flexible_since: i16::MAX,
    fields: &[
        since(0, INT16),
        since(0, INT32),
        since(
            0,
            Kind::List(&[since(0, Kind::Text), since(0, Kind::List(&[since(0, INT32), since(0, INT16)]))]),
        ),
    ],
    tagged: &[],
};

pub(super) const DESCRIBE_TRANSACTIONS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        since(0, INT32),
        since(
            0,
            Kind::List(&[
                since(0, INT16),
                since(0, Kind::Text),
                since(0, Kind::Text),
                since(0, INT32),
                since(0, INT64),
                since(0, INT64),
                since(0, INT16),
                since(0, Kind::List(&[since(0, Kind::Text), since(0, Kind::Numbers(4))])),
            ]),
        ),
    ],
    tagged: &[],
};

const PRODUCERS: Kind = Kind::List(&[
    since(0, INT64),
    since(0, INT32),
    since(0, INT32),
    since(0, INT64),
    since(0, INT32),
    since(0, INT64),
]);
pub(super) const DESCRIBE_PRODUCERS: Shape = Shape {
    flexible_since: 0,
    fields: &[
        since(0, INT32),
        since(
            0,
            Kind::List(&[
                since(0, Kind::Text),
                since(
                    0,
                    Kind::List(&[
                        since(0, INT32),
                        since(0, INT16),
                        since(0, Kind::NullableText),
                        since(0, PRODUCERS),
                    ]),
                ),
            ]),
        ),
    ],
    tagged: &[],
};

pub(super) const ADD_PARTITIONS_TO_TXN: Shape = Shape {
    flexible_since: 3,
    fields: &[
        since(0, INT32),
        since(
            0,
            Kind::List(&[since(0, Kind::Text), since(0, Kind::List(&[since(0, INT32), since(0, INT16)]))]),
        ),
    ],
    tagged: &[],
};

pub(super) const END_TXN: Shape =
    Shape { flexible_since: 3, fields: &[since(0, INT32), since(0, INT16)], tagged: &[] };

/// Why an answer is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misshapen {
    #[error("it ends too soon")]
    EndsTooSoon,
    #[error("a length in it is not possible")]
    Length,
    #[error("it has more than {ELEMENTS_MAX} elements")]
    TooMany,
    #[error("{0} bytes are left over")]
    LeftOver(usize),
}

impl Shape {
    /// Checks the lengths of an answer of a version; gives it with what must not be null made empty.
    pub(super) fn check(&self, version: i16, body: &Bytes) -> Result<Bytes, Misshapen> {
        let flexible = version >= self.flexible_since;
        let mut walk = Walk::new(body, version, flexible);
        walk.fields(self.fields)?;
        if flexible {
            walk.tags(self.tagged)?;
        }
        if !walk.rest.is_empty() {
            return Err(Misshapen::LeftOver(walk.rest.len()));
        }
        Ok(if walk.nulls.is_empty() { body.clone() } else { mended(body, &walk.nulls, flexible) })
    }
}

/// What follows the tagged fields of a header.
pub(super) fn after_tags(bytes: &[u8]) -> Result<&[u8], Misshapen> {
    let mut walk = Walk::new(bytes, 0, true);
    walk.tags(&[])?;
    Ok(walk.rest)
}

/// The same bytes with empty things in place of these nulls. Both are equally long.
fn mended(body: &[u8], nulls: &[Null], flexible: bool) -> Bytes {
    let mut mended = BytesMut::from(body);
    for null in nulls {
        for byte in mended.iter_mut().skip(null.at).take(null.length) {
            *byte = u8::from(flexible);
        }
    }
    mended.freeze()
}

/// A length that says null: where it stands, and how many bytes it has.
#[derive(Debug)]
struct Null {
    at: usize,
    length: usize,
}

struct Walk<'a> {
    whole: usize,
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements_left: usize,
    nulls: Vec<Null>,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8], version: i16, flexible: bool) -> Self {
        let elements_left = ELEMENTS_MAX;
        Walk { whole: bytes.len(), rest: bytes, version, flexible, elements_left, nulls: Vec::new() }
    }

    fn fields(&mut self, fields: &[Field]) -> Result<(), Misshapen> {
        let version = self.version;
        for field in fields.iter().filter(|it| (it.since..=it.until).contains(&version)) {
            self.field(field.kind)?;
        }
        Ok(())
    }

    fn field(&mut self, kind: Kind) -> Result<(), Misshapen> {
        match kind {
            Kind::Fixed(length) => self.take(length).map(drop),
            Kind::Text | Kind::NullableText | Kind::Bytes => {
                let length = self.length(kind)?;
                self.take(length).map(drop)
            }
            Kind::Numbers(bytes) => {
                for _ in 0..self.length(kind)? {
                    self.count()?;
                    self.take(bytes)?;
                }
                Ok(())
            }
            Kind::List(element) => {
                for _ in 0..self.length(kind)? {
                    self.count()?;
                    self.fields(element)?;
                    if self.flexible {
                        self.tags(&[])?;
                    }
                }
                Ok(())
            }
        }
    }

    /// A length or a count; zero for what is absent.
    fn length(&mut self, kind: Kind) -> Result<usize, Misshapen> {
        let at = self.whole - self.rest.len();
        let is_text = matches!(kind, Kind::Text | Kind::NullableText);
        let length = if self.flexible {
            (self.varint()? as usize).checked_sub(1)
        } else {
            let number = if is_text {
                i32::from(i16::from_be_bytes(self.array()?))
            } else {
                i32::from_be_bytes(self.array()?)
            };
            match number {
                -1 => None,
                number => Some(usize::try_from(number).map_err(|_| Misshapen::Length)?),
            }
        };
        if length.is_none() && !matches!(kind, Kind::NullableText) {
            self.nulls.push(Null { at, length: self.whole - self.rest.len() - at });
        }
        Ok(length.unwrap_or(0))
    }

    /// Tagged fields: a count, then for each its number, its length, and its bytes.
    fn tags(&mut self, known: &[(u32, Kind)]) -> Result<(), Misshapen> {
        for _ in 0..self.varint()? {
            self.count()?;
            let tag = self.varint()?;
            let length = self.varint()? as usize;
            let end = self.rest.len().checked_sub(length).ok_or(Misshapen::EndsTooSoon)?;
            if let Some((_, kind)) = known.iter().find(|(number, _)| *number == tag) {
                self.field(*kind)?;
                match self.rest.len().checked_sub(end) {
                    Some(0) => {}
                    Some(left) => return Err(Misshapen::LeftOver(left)),
                    None => return Err(Misshapen::EndsTooSoon),
                }
            } else {
                self.take(length)?;
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Misshapen> {
        self.elements_left = self.elements_left.checked_sub(1).ok_or(Misshapen::TooMany)?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u32, Misshapen> {
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                // Of the forms of a number only the shortest: a null must be one byte to be mended.
                return match u32::try_from(value) {
                    Ok(number) if byte != 0 || shift == 0 => Ok(number),
                    Ok(_) | Err(_) => Err(Misshapen::Length),
                };
            }
        }
        Err(Misshapen::Length)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Misshapen> {
        let (first, rest) = self.rest.split_first_chunk().ok_or(Misshapen::EndsTooSoon)?;
        self.rest = rest;
        Ok(*first)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Misshapen> {
        let (first, rest) = self.rest.split_at_checked(length).ok_or(Misshapen::EndsTooSoon)?;
        self.rest = rest;
        Ok(first)
    }
}

#[cfg(test)]
mod tests;
