//! The process: a worker with the plug-ins that come with it, and no others.

use std::process::ExitCode;

fn main() -> ExitCode {
    herdsman::Worker::builder().run_from_args()
}
