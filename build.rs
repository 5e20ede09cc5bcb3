//! Tells the program which commit it is built from, and has the linker write down in short what the loader puts right.

use std::env;
use std::path::Path;
use std::process::Command;

/// The commit, for where there is no clone.
const VARIABLE: &str = "HERDSMAN_COMMIT";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let told = env::var(VARIABLE).ok().filter(|commit| !commit.is_empty());
    if let Some(commit) = told.or_else(commit_of_clone) {
        println!("cargo::rustc-env={VARIABLE}={commit}");
    }
    if runs_here() && glibc() >= Some((2, 36)) {
        // A list of addresses in place of one entry of 24 bytes for each: 1.9 MB less that an idle worker holds.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The commit of the clone whose root this folder is; `None` in an archive, in another repository, or without git.
fn commit_of_clone() -> Option<String> {
    let here = Path::new(".").canonicalize().ok()?;
    let root = said_by("git", &["rev-parse", "--show-toplevel"])?;
    if Path::new(&root).canonicalize().ok()? != here {
        return None;
    }
    // The log of HEAD grows with each commit, also where HEAD itself goes on to name the same branch.
    for name in ["HEAD", "logs/HEAD"] {
        let path = said_by("git", &["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    said_by("git", &["rev-parse", "--short=16", "HEAD"])
}

/// Whether the program is for machines of this kind: their C library is that of this one.
fn runs_here() -> bool {
    let [host, target] = ["HOST", "TARGET"].map(env::var_os);
    host == target && env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|kind| kind == "gnu")
}

/// The version of the GNU C library here; one before 2.36 does not load what was packed so.
fn glibc() -> Option<(u32, u32)> {
    let text = said_by("getconf", &["GNU_LIBC_VERSION"])?;
    let (major, minor) = text.strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// What a program says, without the end of its line; `None` if it is not there, fails or says nothing.
fn said_by(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim_end().to_owned()).filter(|text| !text.is_empty())
}
