//! Has the linker write down in short what the loader puts right in the program.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if runs_here() && glibc() >= Some((2, 36)) {
        // A list of addresses in place of one entry of 24 bytes for each: 1.9 MB less that an idle worker holds.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the program is for machines of this kind: their C library is that of this one.
fn runs_here() -> bool {
    let [host, target] = ["HOST", "TARGET"].map(env::var_os);
    host == target && env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|kind| kind == "gnu")
}

/// The version of the GNU C library here; one before 2.36 does not load what was packed so.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
