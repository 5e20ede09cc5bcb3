//! `GET /metrics`: what the worker can be measured by, as Prometheus reads it. Apache has no such path; what an exporter would
//! make of its beans is given here.
//!
//! It waits for nobody: not for the tick thread, nor for Kafka.

use super::super::api::RestApi;
use super::super::http::HttpResponse;
use crate::metrics::{CONTENT_TYPE, Names};

pub(super) fn get(api: &RestApi, names: Names) -> HttpResponse {
    let mut response = HttpResponse::empty(200).with_header("Content-Type", CONTENT_TYPE);
    response.body = api.parts.metrics.text(names, api.clock.now());
    response
}
