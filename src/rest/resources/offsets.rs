//! `/connectors/{name}/offsets` (KIP-875).

use super::super::api::RestApi;
use super::super::dto::{Message, offsets_body, offsets_json};
use super::super::error::ApiError;
use super::super::http::HttpResponse;
use super::json;
use crate::api::ids::ConnectorName;
use crate::api::source::AlterOffsets;
use crate::herder::msg::{OffsetsDraft, Request};

pub(super) fn get(api: &RestApi, name: ConnectorName) -> Result<HttpResponse, ApiError> {
    json(200, &offsets_json(&api.ask(|reply| Request::Offsets(name, reply))?))
}

pub(super) fn alter(api: &RestApi, name: ConnectorName, body: &[u8]) -> Result<HttpResponse, ApiError> {
    let draft = OffsetsDraft::Alter(offsets_body(body)?);
    let message = match api.ask(|reply| Request::ModifyOffsets(name, draft, reply))? {
        AlterOffsets::Checked => "The offsets for this connector have been altered successfully",
        AlterOffsets::Unchecked => {
            "The Connect framework-managed offsets for this connector have been altered successfully. However, if this \
             connector manages offsets externally, they will need to be manually altered in the system that the \
             connector uses."
        }
    };
    json(200, &Message { message })
}

pub(super) fn reset(api: &RestApi, name: ConnectorName) -> Result<HttpResponse, ApiError> {
    let message = match api.ask(|reply| Request::ModifyOffsets(name, OffsetsDraft::Reset, reply))? {
        AlterOffsets::Checked => "The offsets for this connector have been reset successfully",
        AlterOffsets::Unchecked => {
            "The Connect framework-managed offsets for this connector have been reset successfully. However, if this \
             connector manages offsets externally, they will need to be manually reset in the system that the \
             connector uses."
        }
    };
    json(200, &Message { message })
}
