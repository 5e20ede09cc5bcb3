//! A program for the exec source, as quick as can be: what is measured is the worker.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

use herdsman::stdx::thread;

use crate::Result;

/// Says so many records, and reads all that it is told until its input ends.
pub(crate) fn say(count: u64, acks: bool) -> Result<()> {
    let descriptor = |name: &str| Ok::<_, std::env::VarError>(format!("/dev/fd/{}", std::env::var(name)?));
    let mut told = BufReader::new(File::open(descriptor("HERDSMAN_READ_FD")?)?);
    let mut says = BufWriter::with_capacity(
        256 * 1024,
        File::options().write(true).open(descriptor("HERDSMAN_WRITE_FD")?)?,
    );
    told.read_line(&mut String::new())?;
    // Ends, and is waited for, when the worker closes its end.
    let _told = thread::spawn("told", thread::STACK_BYTES, move || {
        if let Err(error) = std::io::copy(&mut told, &mut std::io::sink()) {
            eprintln!("cannot read what the worker tells: {error}");
        }
    })?;
    writeln!(says, r#"{{"ready":{{"acks":{acks}}}}}"#)?;
    let text = "x".repeat(80);
    for number in 1..=count {
        let id = if acks { format!(r#""id":{number},"#) } else { String::new() };
        writeln!(
            says,
            r#"{{"record":{{{id}"source_partition":{{"from":"bench"}},"source_offset":{{"position":{number}}},"value":{{"number":{number},"text":"{text}"}}}}}}"#
        )?;
    }
    Ok(says.flush()?)
}
