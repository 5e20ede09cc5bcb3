//! The offsets file on disk: read once, then replaced as a whole by a file written beside it. At every moment the name
//! stands for a complete file, whenever the process or the machine dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::java_map::{self, Entry, JavaMapError};

/// The largest file that is read: far more than offsets take, and less than would exhaust a machine.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
const WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// What a file written beside is called: `.connect.offsets.XXXXXX.tmp`.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Why the offsets file cannot be used. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum OffsetsFileError {
    /// The folder is not there.
    #[error("the folder of the offsets file {} cannot be used: create it first", path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The name stands for a directory, a device or the like.
    #[error("the offsets file {} is not a regular file: set offset.storage.file.filename to another", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Another worker holds it.
    #[error("the offsets file {} is in use by another worker: give each its own", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be created, opened or read.
    #[error("cannot read the offsets file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was cut short, or some other program wrote it.
    #[error(
        "{} is no complete offsets file and was left as it is: restore it from a copy, or remove it to begin without \
         offsets",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        source: JavaMapError,
    },
    /// It is larger than what is read.
    #[error("the offsets file {} is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The new content could not be written beside it or not put in its place; the old content is intact.
    #[error("cannot replace the offsets file {}{}", path.display(), advice(source))]
    Replace {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn advice(error: &io::Error) -> &'static str {
    let kinds = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    if kinds(&[io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem]) {
        ": its folder must be writable, because the file is written beside and renamed"
    } else if kinds(&[io::ErrorKind::ResourceBusy]) {
        ": if it is a mount of its own, mount its folder instead"
    } else if kinds(&[io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded]) {
        ": free some space"
    } else {
        ""
    }
}

/// The offsets file, held by this worker alone.
#[derive(Debug)]
pub(super) struct OffsetsFile {
    path: PathBuf,
    folder: PathBuf,
    /// The file under the name now, locked. Each replacement is locked before it gets the name, so whoever locks the
    /// file that has the name is the only one.
    held: File,
}

impl OffsetsFile {
    /// Opens or creates the file, takes it for this worker and reads it. Blocks for the disk.
    ///
    /// The file is written once, unchanged, before this returns: what would fail at the first commit fails here.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Entry>), OffsetsFileError> {
        let (path, folder) = resolve(path)?;
        let held = take(&path)?;
        let mut file = OffsetsFile { path, folder, held };
        let entries = file.read()?;
        file.remove_leftovers();
        file.replace(entries.iter().map(|(key, value)| (key.as_deref(), value.as_deref())))?;
        Ok((file, entries))
    }

    /// Where it is, links resolved.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file new content. After an error the old content is intact.
    pub(super) fn replace<'a>(
        &mut self,
        entries: impl ExactSizeIterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>,
    ) -> Result<(), OffsetsFileError> {
        self.try_replace(entries)
            .map_err(|source| OffsetsFileError::Replace { path: self.path.clone(), source })
    }

    fn try_replace<'a>(
        &mut self,
        entries: impl ExactSizeIterator<Item = (Option<&'a [u8]>, Option<&'a [u8]>)>,
    ) -> io::Result<()> {
        let beside = tempfile::Builder::new()
            .prefix(&self.temporary_prefix())
            .suffix(TEMPORARY_SUFFIX)
            .tempfile_in(&self.folder)?;
        // Nobody else knows this file yet. Where locks are not to be had, `take` said so.
        drop(beside.as_file().try_lock());
        let mut out = BufWriter::with_capacity(WRITE_BUFFER_BYTES, beside.as_file());
        java_map::write(&mut out, entries)?;
        out.flush()?;
        drop(out);
        beside.as_file().set_permissions(self.held.metadata()?.permissions())?;
        beside.as_file().sync_all()?;
        self.held = beside.persist(&self.path).map_err(|error| error.error)?;
        // The new name is durable once its folder is.
        File::open(&self.folder)?.sync_all()
    }

    fn read(&self) -> Result<Vec<Entry>, OffsetsFileError> {
        let mut content = Vec::new();
        (&self.held)
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut content)
            .map_err(|source| OffsetsFileError::Read { path: self.path.clone(), source })?;
        if content.len() as u64 > FILE_BYTES_MAX {
            return Err(OffsetsFileError::TooLarge { path: self.path.clone() });
        }
        if content.is_empty() {
            return Ok(Vec::new());
        }
        java_map::read(&content)
            .map_err(|source| OffsetsFileError::Foreign { path: self.path.clone(), source })
    }

    fn temporary_prefix(&self) -> String {
        format!(".{}.", self.path.file_name().unwrap_or_default().to_string_lossy())
    }

    /// Removes what a process that was killed while writing left beside. Only the holder of the file writes there.
    fn remove_leftovers(&self) {
        let prefix = self.temporary_prefix();
        let Ok(names) = fs::read_dir(&self.folder) else { return };
        for name in names.flatten().map(|entry| entry.file_name()) {
            let leftover = name.to_str().and_then(|name| name.strip_prefix(&prefix));
            let random = leftover.and_then(|rest| rest.strip_suffix(TEMPORARY_SUFFIX));
            if random.is_some_and(|random| !random.is_empty() && !random.contains('.')) {
                let path = self.folder.join(&name);
                match fs::remove_file(&path) {
                    Ok(()) => log::info!("removed {}, left by a worker that was killed", path.display()),
                    Err(error) => log::warn!("cannot remove {}: {error}", path.display()),
                }
            }
        }
    }
}

/// The real place of the file and its folder: a link stays a link, what it points to is replaced.
fn resolve(path: &Path) -> Result<(PathBuf, PathBuf), OffsetsFileError> {
    let folder_error = |source| OffsetsFileError::Folder { path: path.to_owned(), source };
    let not_a_file = || OffsetsFileError::NotAFile { path: path.to_owned() };
    let path = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                Some(_) | None => Path::new("."),
            };
            let name = path.file_name().ok_or_else(not_a_file)?;
            fs::canonicalize(folder).map_err(folder_error)?.join(name)
        }
        Err(source) => return Err(folder_error(source)),
    };
    let folder = path.parent().ok_or_else(not_a_file)?.to_owned();
    Ok((path, folder))
}

/// Opens the file, or creates it empty, and locks it.
fn take(path: &Path) -> Result<File, OffsetsFileError> {
    /// Each turn after the first means that another worker replaced the file in between.
    const TURNS_MAX: u32 = 100;
    let read_error = |source| OffsetsFileError::Read { path: path.to_owned(), source };
    for _ in 0..TURNS_MAX {
        // Asked before it is opened: opening a pipe would block.
        let file = match fs::metadata(path) {
            Ok(found) if !found.is_file() => {
                return Err(OffsetsFileError::NotAFile { path: path.to_owned() });
            }
            Ok(_) => File::open(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                OpenOptions::new().read(true).write(true).create_new(true).open(path)
            }
            Err(error) => Err(error),
        };
        let file = match file {
            Ok(file) => file,
            // It came or went between the question and the opening.
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                continue;
            }
            Err(error) => return Err(read_error(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => break,
            // A file system without locks: a second worker cannot be found out, as with Apache.
            Err(TryLockError::Error(error)) => {
                log::warn!("{} cannot be locked against a second worker: {error}", path.display());
            }
        }
        let ours = file.metadata().map_err(read_error)?;
        // Unless the name stands for the file that was locked, it is a file that was just replaced.
        if fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
            return Ok(file);
        }
    }
    Err(OffsetsFileError::InUse { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use bytes::Bytes;
    use tempfile::TempDir;

    use super::*;

    fn folder() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("connect.offsets");
        (folder, path)
    }

    fn entry(key: &'static str) -> Entry {
        (Some(Bytes::from(key)), None)
    }

    fn replace(file: &mut OffsetsFile, entries: &[Entry]) -> Result<(), OffsetsFileError> {
        file.replace(entries.iter().map(|(key, value)| (key.as_deref(), value.as_deref())))
    }

    fn error(path: &Path) -> String {
        OffsetsFile::open(path).unwrap_err().to_string()
    }

    #[test]
    fn a_missing_or_empty_file_becomes_an_empty_map() {
        let (_folder, path) = folder();
        for _ in 0..2 {
            let (file, entries) = OffsetsFile::open(&path).unwrap();
            assert_eq!((entries, file.path()), (vec![], fs::canonicalize(&path).unwrap().as_path()));
            assert_eq!(java_map::read(&fs::read(&path).unwrap()), Ok(vec![]));
            drop(file);
            fs::write(&path, "").unwrap();
        }
    }

    #[test]
    fn a_cut_or_foreign_file_is_named_and_left_alone() {
        let (_folder, path) = folder();
        replace(&mut OffsetsFile::open(&path).unwrap().0, &[entry("k")]).unwrap();
        let whole = fs::read(&path).unwrap();
        for content in [&whole[..whole.len() - 1], b"# a comment\n"] {
            fs::write(&path, content).unwrap();
            assert!(error(&path).contains("connect.offsets is no complete offsets file"), "{}", error(&path));
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let (folder, path) = folder();
        assert!(error(folder.path()).contains("is not a regular file"));
        assert!(error(Path::new("/dev/null")).contains("is not a regular file"));
        assert!(error(&folder.path().join("none/offsets")).contains("create it first"));
        fs::write(&path, "").unwrap();
        assert!(error(&path.join("offsets")).contains("cannot be used"));
    }

    #[test]
    fn a_second_worker_is_refused_also_after_the_file_was_replaced() {
        let (_folder, path) = folder();
        let (mut file, _) = OffsetsFile::open(&path).unwrap();
        assert!(error(&path).contains("in use by another worker"));
        replace(&mut file, &[entry("k")]).unwrap();
        assert!(error(&path).contains("in use by another worker"));
        drop(file);
        assert_eq!(OffsetsFile::open(&path).unwrap().1, [entry("k")]);
    }

    #[test]
    fn mode_and_links_stay_and_leftovers_go() {
        let (folder, path) = folder();
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        let leftover = folder.path().join(".connect.offsets.a1B2c3.tmp");
        let stranger = folder.path().join(".connect.offsets.bak");
        fs::write(&leftover, "half").unwrap();
        fs::write(&stranger, "").unwrap();

        let (mut file, _) = OffsetsFile::open(&link).unwrap();
        replace(&mut file, &[entry("k")]).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(!leftover.exists() && stranger.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else stays beside");
    }

    #[test]
    fn a_replacement_that_fails_leaves_the_old_content() {
        let (folder, path) = folder();
        let (mut file, _) = OffsetsFile::open(&path).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        fs::create_dir(&path).unwrap();
        let error = replace(&mut file, &[entry("k")]).unwrap_err().to_string();
        assert!(
            error.contains("cannot replace the offsets file") && error.contains("connect.offsets"),
            "{error}"
        );
        fs::remove_dir(&path).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        assert_eq!(java_map::read(&fs::read(&path).unwrap()), Ok(vec![]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing stays beside");
        replace(&mut file, &[entry("k")]).unwrap();
    }
}
