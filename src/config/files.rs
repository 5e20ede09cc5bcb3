//! Files with settings, read whole.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The longest file with settings, as long as a body of the REST API may be: a wrong name on the command line must
/// not fill the memory.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a byte order mark is in UTF-8: some editors begin a file with it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a file, without a byte order mark. Fails when it is longer than settings can be.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        let message = "it is longer than 4 MiB, the most that settings can have: is it the right file?";
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

/// Reads a file in UTF-8. Fails like [`read`], and when it is something else.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_an_end_and_no_mark_at_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"\xEF\xBB\xBFa=\xC3\xA4").unwrap();
        assert_eq!(read_text(&path).unwrap(), "a=ä");
        std::fs::write(&path, b"a=\xE4").unwrap();
        assert_eq!(read(&path).unwrap(), b"a=\xE4");
        assert!(read_text(&path).unwrap_err().to_string().contains("UTF-8"));
        assert!(read(folder.path()).is_err());
        assert!(read(Path::new("/dev/zero")).unwrap_err().to_string().contains("right file"));
    }
}
