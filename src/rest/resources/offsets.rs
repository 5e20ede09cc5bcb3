//! `/connectors/{name}/offsets` (KIP-875).

use super::super::api::RestApi;
use super::super::dto::{Message, offsets_body, offsets_json};
use super::super::errand::{Errand, Onward};
use super::super::error::ApiError;
use super::super::http::HttpResponse;
use super::json;
use crate::api::ids::ConnectorName;
use crate::api::source::AlterOffsets;
use crate::herder::msg::{OffsetsDraft, Request};

pub(super) fn get(api: &RestApi, name: ConnectorName) -> Result<HttpResponse, ApiError> {
    json(200, &offsets_json(&api.show(|reply| Request::Offsets(name, reply))?))
}

pub(super) fn alter(errand: &Errand<'_>, name: &ConnectorName) -> Result<HttpResponse, ApiError> {
    let draft = OffsetsDraft::Alter(offsets_body(&errand.request().body)?);
    let onward = onward("PATCH", name).body_as_sent();
    let done = errand.run(&onward, |reply| Request::ModifyOffsets(name.clone(), draft.clone(), reply))?;
    done.answer(|altered| json(200, &Message { message: altered_message(altered) }))
}

pub(super) fn reset(errand: &Errand<'_>, name: &ConnectorName) -> Result<HttpResponse, ApiError> {
    let onward = onward("DELETE", name);
    let done =
        errand.run(&onward, |reply| Request::ModifyOffsets(name.clone(), OffsetsDraft::Reset, reply))?;
    done.answer(|reset| json(200, &Message { message: reset_message(reset) }))
}

fn onward(method: &'static str, name: &ConnectorName) -> Onward<'static> {
    Onward::new(method, &["connectors", name.as_str(), "offsets"])
}

fn altered_message(altered: AlterOffsets) -> &'static str {
    match altered {
        AlterOffsets::Checked => "The offsets for this connector have been altered successfully",
        AlterOffsets::Unchecked => {
            "The Connect framework-managed offsets for this connector have been altered successfully. However, if this \
             connector manages offsets externally, they will need to be manually altered in the system that the \
             connector uses."
        }
    }
}

fn reset_message(reset: AlterOffsets) -> &'static str {
    match reset {
        AlterOffsets::Checked => "The offsets for this connector have been reset successfully",
        AlterOffsets::Unchecked => {
            "The Connect framework-managed offsets for this connector have been reset successfully. However, if this \
             connector manages offsets externally, they will need to be manually reset in the system that the \
             connector uses."
        }
    }
}
