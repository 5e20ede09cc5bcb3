//! Records on their way through tasks, on the embedded broker and with plug-ins made for the purpose.

mod plugins;
mod sink;
mod source;
mod support;
