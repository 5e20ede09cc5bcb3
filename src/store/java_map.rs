//! Java's serialization of a `HashMap<byte[], byte[]>`: the content of the offsets file of standalone mode.
//!
//! The writer gives the bytes that Java's `ObjectOutputStream` gives for the same entries in the same order. The
//! reader takes what `ObjectOutputStream` may write for such a map and nothing else; it checks every length against
//! the bytes that are there before it takes memory for it.

use std::io::{self, Write};

use bytes::Bytes;

/// A key and its value. Java allows null for both.
pub type Entry = (Option<Bytes>, Option<Bytes>);

/// Stream magic and version 5.
const STREAM_HEADER: &[u8] = b"\xAC\xED\x00\x05";
/// An object, its class `java.util.HashMap` with serial version and two fields, no superclass.
const MAP_CLASS: &[u8] = b"sr\x00\x11java.util.HashMap\x05\x07\xDA\xC1\xC3\x16\x60\xD1\x03\x00\x02\
    F\x00\x0AloadFactorI\x00\x09thresholdxp";
/// The load factor that Java's maps have unless told otherwise: 0.75.
const LOAD_FACTOR: &[u8] = b"\x3F\x40\x00\x00";
/// A block of eight bytes of the class's own: capacity and number of entries.
const MAP_BLOCK: &[u8] = b"w\x08";
/// The class `[B` of byte arrays, described where it occurs first.
const BYTE_ARRAY_CLASS: &[u8] = b"r\x00\x02[B\xAC\xF3\x17\xF8\x06\x08\x54\xE0\x02\x00\x00xp";
/// The same class where it occurs again: the third thing of the stream that got a handle.
const BYTE_ARRAY_CLASS_AGAIN: &[u8] = b"q\x00\x7E\x00\x02";

const NULL: u8 = b'p';
const ARRAY: u8 = b'u';
const REFERENCE: u8 = b'q';
const END_OF_OBJECT: u8 = b'x';

/// Handles count from here: the class, the map, the class of arrays, then the arrays in their order.
const FIRST_ARRAY_HANDLE: u32 = 0x007E_0003;

/// Why bytes are no serialized map of byte arrays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position}: {problem}")]
pub struct JavaMapError {
    /// Where in the input the wrong part begins.
    pub position: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a serialized map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The input ends within it.
    #[error("the input ends in the middle of {0}")]
    CutShort(&'static str),
    /// Something else is there.
    #[error("not {0}")]
    Not(&'static str),
    /// An array refers to an earlier one that does not exist.
    #[error("a reference to an array that is not there")]
    DanglingReference,
    /// Bytes follow the map.
    #[error("more bytes after the end of the map")]
    Trailing,
}

/// Reads all entries in the order in which they are stored.
pub fn read(input: &[u8]) -> Result<Vec<Entry>, JavaMapError> {
    let mut reader = Reader { input, position: 0, arrays: Vec::new(), array_class_seen: false };
    reader.expect(STREAM_HEADER, "the header of a Java object stream")?;
    reader.expect(MAP_CLASS, "a java.util.HashMap")?;
    // Load factor and threshold only size the table.
    reader.take(8, "the fields of the map")?;
    reader.expect(MAP_BLOCK, "the sizes of the map")?;
    reader.take(4, "the sizes of the map")?;
    let count = reader.length("the number of entries")?;
    let mut entries = Vec::new();
    for _ in 0..count {
        // Each entry takes at least two bytes of the input, so a wrong count ends here and not in memory.
        let key = reader.array()?;
        let value = reader.array()?;
        entries.push((key, value));
    }
    reader.expect(&[END_OF_OBJECT], "the end of the map")?;
    if reader.position < input.len() {
        return Err(reader.wrong(Problem::Trailing));
    }
    Ok(entries)
}

/// Writes a map with the given entries. Fails on what Java could not hold either: an array of more than 2^31 − 1
/// bytes, more than 2^30 entries.
pub fn write<'a>(
    out: &mut impl Write,
    entries: impl ExactSizeIterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>,
) -> io::Result<()> {
    let (capacity, threshold, count) = table_size(entries.len())?;
    out.write_all(STREAM_HEADER)?;
    out.write_all(MAP_CLASS)?;
    out.write_all(LOAD_FACTOR)?;
    out.write_all(&threshold.to_be_bytes())?;
    out.write_all(MAP_BLOCK)?;
    out.write_all(&capacity.to_be_bytes())?;
    out.write_all(&count.to_be_bytes())?;
    let mut class = BYTE_ARRAY_CLASS;
    for (key, value) in entries {
        for array in [key, value] {
            let Some(bytes) = array else {
                out.write_all(&[NULL])?;
                continue;
            };
            let length = i32::try_from(bytes.len()).map_err(|_| too_large("a key or value"))?;
            out.write_all(&[ARRAY])?;
            out.write_all(class)?;
            out.write_all(&length.to_be_bytes())?;
            out.write_all(bytes)?;
            class = BYTE_ARRAY_CLASS_AGAIN;
        }
    }
    out.write_all(&[END_OF_OBJECT])
}

/// Capacity, threshold and count of a Java map that grew to `entries`. One that never held any has no table yet.
fn table_size(entries: usize) -> io::Result<(u32, u32, u32)> {
    const CAPACITY_MIN: u32 = 16;
    let count = u32::try_from(entries).ok().filter(|&count| count <= 1 << 30);
    let count = count.ok_or_else(|| too_large("the map"))?;
    if count == 0 {
        return Ok((CAPACITY_MIN, 0, 0));
    }
    // The smallest power of two of which the entries fill no more than three quarters.
    let needed = (u64::from(count) * 4).div_ceil(3);
    let capacity = u32::try_from(needed.next_power_of_two()).map_err(|_| too_large("the map"))?;
    let capacity = capacity.max(CAPACITY_MIN);
    Ok((capacity, capacity / 4 * 3, count))
}

fn too_large(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what} is too large for the format of the file"))
}

struct Reader<'a> {
    input: &'a [u8],
    position: usize,
    arrays: Vec<Bytes>,
    array_class_seen: bool,
}

impl<'a> Reader<'a> {
    fn wrong(&self, problem: Problem) -> JavaMapError {
        JavaMapError { position: self.position, problem }
    }

    fn rest(&self) -> &'a [u8] {
        self.input.get(self.position..).unwrap_or_default()
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], JavaMapError> {
        let taken = self.rest().get(..length).ok_or_else(|| self.wrong(Problem::CutShort(what)))?;
        self.position += length;
        Ok(taken)
    }

    fn expect(&mut self, wanted: &[u8], what: &'static str) -> Result<(), JavaMapError> {
        let rest = self.rest();
        if rest.len() < wanted.len() && wanted.starts_with(rest) {
            return Err(self.wrong(Problem::CutShort(what)));
        }
        if !rest.starts_with(wanted) {
            return Err(self.wrong(Problem::Not(what)));
        }
        self.position += wanted.len();
        Ok(())
    }

    fn number(&mut self, what: &'static str) -> Result<u32, JavaMapError> {
        let bytes = self.take(4, what)?;
        Ok(bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    /// A number that Java keeps in an `int` and that cannot be negative.
    fn length(&mut self, what: &'static str) -> Result<usize, JavaMapError> {
        let at = self.position;
        let number = self.number(what)?;
        i32::try_from(number)
            .ok()
            .and_then(|number| usize::try_from(number).ok())
            .ok_or(JavaMapError { position: at, problem: Problem::Not(what) })
    }

    fn array(&mut self) -> Result<Option<Bytes>, JavaMapError> {
        const WHAT: &str = "a byte array";
        let at = self.position;
        match self.take(1, WHAT)? {
            [NULL] => Ok(None),
            [REFERENCE] => {
                let handle = self.number("a reference to an array")?;
                handle
                    .checked_sub(FIRST_ARRAY_HANDLE)
                    .and_then(|index| self.arrays.get(usize::try_from(index).ok()?))
                    .map(|array| Some(array.clone()))
                    .ok_or(JavaMapError { position: at, problem: Problem::DanglingReference })
            }
            [ARRAY] => {
                let class = if self.array_class_seen { BYTE_ARRAY_CLASS_AGAIN } else { BYTE_ARRAY_CLASS };
                self.expect(class, "the class of byte arrays")?;
                self.array_class_seen = true;
                let length = self.length("the length of an array")?;
                let array = Bytes::copy_from_slice(self.take(length, WHAT)?);
                self.arrays.push(array.clone());
                Ok(Some(array))
            }
            _ => Err(JavaMapError { position: at, problem: Problem::Not(WHAT) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn sample(name: &str, ending: &str) -> Vec<u8> {
        let path = format!("{}/tests/vectors/connect-offsets-{name}.{ending}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn written(entries: &[Entry]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, entries.iter().map(|(key, value)| (key.as_deref(), value.as_deref()))).unwrap();
        out
    }

    #[test]
    fn files_of_apache_are_read_and_written_byte_for_byte() {
        for name in ["single", "multi", "tombstones"] {
            let bytes = sample(name, "bin");
            let entries = read(&bytes).unwrap();
            assert_eq!(written(&entries), bytes, "{name}");

            let text =
                |bytes: &Option<Bytes>| bytes.as_deref().map(|b| String::from_utf8(b.to_vec()).unwrap());
            let ours: BTreeMap<_, _> = entries.iter().map(|(k, v)| (text(k).unwrap(), text(v))).collect();
            let expected: serde_json::Value = serde_json::from_slice(&sample(name, "json")).unwrap();
            let expected: BTreeMap<_, _> = expected["entries"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| (e["key"].as_str().unwrap().to_owned(), e["value"].as_str().map(str::to_owned)))
                .collect();
            assert_eq!(ours, expected, "{name}");
        }
    }

    #[test]
    fn every_cut_is_told_from_what_is_foreign() {
        let bytes = sample("tombstones", "bin");
        for length in 0..bytes.len() {
            let error = read(&bytes[..length]).unwrap_err();
            assert!(matches!(error.problem, Problem::CutShort(_)), "{length}: {error}");
        }
        for (foreign, message) in [
            (&b"{\"a\":1}"[..], "at byte 0: not the header of a Java object stream"),
            (&b"\xAC\xED\x00\x05t\x00\x01a"[..], "at byte 4: not a java.util.HashMap"),
        ] {
            assert_eq!(read(foreign).unwrap_err().to_string(), message);
        }
        let longer = [&bytes[..], b"\0"].concat();
        assert_eq!(read(&longer).unwrap_err().problem, Problem::Trailing);
    }

    #[test]
    fn lengths_without_bytes_behind_them_are_refused() {
        let empty = written(&[]);
        let mut many = empty.clone();
        let count = many.len() - 5;
        many[count..count + 4].copy_from_slice(&i32::MAX.to_be_bytes());
        many.pop();
        assert_eq!(read(&many).unwrap_err().problem, Problem::CutShort("a byte array"));
        many[count..count + 4].copy_from_slice(&(-1_i32).to_be_bytes());
        assert_eq!(read(&many).unwrap_err().problem, Problem::Not("the number of entries"));

        let mut long = written(&[(Some(Bytes::from_static(b"k")), None)]);
        let length = long.len() - 7;
        long[length..length + 4].copy_from_slice(&i32::MAX.to_be_bytes());
        assert_eq!(read(&long).unwrap_err().problem, Problem::CutShort("a byte array"));
    }

    #[test]
    fn a_repeated_array_is_a_reference_to_the_first() {
        let mut bytes = written(&[(Some(Bytes::from_static(b"k")), None)]);
        assert_eq!(bytes.split_off(bytes.len() - 2), [NULL, END_OF_OBJECT]);
        bytes.extend_from_slice(b"q\x00\x7E\x00\x03x");
        let array = Some(Bytes::from_static(b"k"));
        assert_eq!(read(&bytes).unwrap(), [(array.clone(), array)]);
        let handle = bytes.len() - 2;
        bytes[handle] = 4;
        assert_eq!(read(&bytes).unwrap_err().problem, Problem::DanglingReference);
    }

    #[test]
    fn the_table_grows_as_in_java() {
        for (entries, capacity, threshold) in [
            (0, 16, 0),
            (1, 16, 12),
            (12, 16, 12),
            (13, 32, 24),
            (24, 32, 24),
            (25, 64, 48),
            (768, 1024, 768),
        ] {
            let size = table_size(entries).unwrap();
            assert_eq!((size.0, size.1), (capacity, threshold), "{entries}");
        }
        assert!(table_size((1 << 30) + 1).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            entries in prop::collection::vec(
                any::<(Option<Vec<u8>>, Option<Vec<u8>>)>()
                    .prop_map(|(key, value)| (key.map(Bytes::from), value.map(Bytes::from))),
                0..40,
            )
        ) {
            prop_assert_eq!(read(&written(&entries)).unwrap(), entries);
        }

        #[test]
        fn no_input_panics(change in any::<(prop::sample::Index, u8)>()) {
            let mut bytes = sample("multi", "bin");
            let at = change.0.index(bytes.len());
            bytes[at] ^= change.1;
            if let Ok(entries) = read(&bytes) {
                prop_assert_eq!(read(&written(&entries)).unwrap(), entries);
            }
        }
    }
}
