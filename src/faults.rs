//! Faults that tests inject into a build made for it (feature `faults`); a release has none of this.
//!
//! `HERDSMAN_FAULT_DIR` names a folder. While it holds a file `hold-POINT`, whoever passes that point stays there.

use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::{after, select};

/// Stays here while the fault folder holds the file `hold-POINT`.
pub fn hold_while_told(point: &str) {
    let Some(folder) = std::env::var_os("HERDSMAN_FAULT_DIR") else { return };
    let file = PathBuf::from(folder).join(format!("hold-{point}"));
    while file.exists() {
        select! { recv(after(Duration::from_millis(5))) -> _ => {} }
    }
}
