//! What workers of one group send each other: the tasks of a connector for the leader to write, and the wish to shut out
//! earlier tasks (KIP-618). A signature proves that it is one of them (KIP-507); the herder, which owns the key, checks it.

use super::super::dto::tasks_body;
use super::super::errand::{Errand, Onward};
use super::super::error::ApiError;
use super::super::http::{HttpRequest, HttpResponse};
use super::no_content;
use crate::api::ids::ConnectorName;
use crate::herder::msg::{Proof, Request};
use crate::herder::session_key::{ALGORITHM_HEADER, SIGNATURE_HEADER};

pub(super) fn submit_tasks(errand: &Errand<'_>, name: &ConnectorName) -> Result<HttpResponse, ApiError> {
    let request = errand.request();
    let tasks = tasks_body(&request.body)?;
    // Sent on with the signature that it has: what is signed is the body, and the key is that of the whole group.
    let onward = Onward::new("POST", &["connectors", name.as_str(), "tasks"]).body_as_sent();
    let done = errand.run(&onward, |reply| Request::SubmitTasks {
        name: name.clone(),
        tasks: tasks.clone(),
        proof: proof(request),
        reply,
    })?;
    done.answer(|()| Ok(no_content()))
}

pub(super) fn fence(errand: &Errand<'_>, name: &ConnectorName) -> Result<HttpResponse, ApiError> {
    let onward = Onward::new("PUT", &["connectors", name.as_str(), "fence"]).body_as_sent();
    let proof = || proof(errand.request());
    let done = errand.run(&onward, |reply| Request::Fence { name: name.clone(), proof: proof(), reply })?;
    done.answer(|()| Ok(no_content()))
}

fn proof(request: &HttpRequest) -> Proof {
    let header = |name| request.header(name).map(str::to_owned);
    let (signature, algorithm) = (header(SIGNATURE_HEADER), header(ALGORITHM_HEADER));
    Proof { signature, algorithm, body: request.body.clone() }
}
