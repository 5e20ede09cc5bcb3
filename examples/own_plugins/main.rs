//! A worker that has a source, a sink and a transform of its own beside the built-in plug-ins, and the whole command line
//! of herdsman:
//!
//! ```sh
//! cargo run --example own_plugins -- --version
//! cargo run --example own_plugins -- standalone --embedded-kafka worker.properties lines.properties
//! ```

mod folder_source;
mod json_files_sink;
mod redact;

use std::process::ExitCode;

fn main() -> ExitCode {
    herdsman::Worker::builder()
        .source(folder_source::FolderSource)
        .sink(json_files_sink::JsonFilesSink)
        .transform(redact::Redact)
        .run_from_args()
}
